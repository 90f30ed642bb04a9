"""labelme: a JSON file beside each image, with polygons, large ones first."""

from __future__ import annotations

from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.data.label_formats.writers.label_writer import Target, WrittenFrame
from edgeseg.data.label_formats.writers.polygons import polygons_of
from edgeseg.imaging.array_types import Mask

VERSION = "5.5.0"  # of labelme, whose files these are


class LabelmeWriter:
    """Writes `NAME.jpg` and `NAME.json`."""

    def __init__(self, target: Target) -> None:
        """Begin."""
        self._target = target

    def add(self, frame: WrittenFrame) -> Mask:
        """Write image and shapes."""
        polygons, drawn = polygons_of(frame.mask)
        shapes = [
            {
                "label": self._target.classes[polygon.class_id],
                "points": polygon.ring.round(2).tolist(),
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for polygon in polygons
        ]
        name = f"{frame.name}{frame.suffix}"
        write_atomic(self._target.folder / name, frame.image, sync=False)
        write_json(
            self._target.folder / f"{frame.name}.json",
            {
                "version": VERSION,
                "flags": {},
                "shapes": shapes,
                "imagePath": name,
                "imageData": None,
                "imageHeight": frame.mask.shape[0],
                "imageWidth": frame.mask.shape[1],
            },
        )
        return drawn

    def finish(self) -> None:
        """Write the list of classes, which `labelme --labels` takes."""
        text = "".join(f"{name}\n" for name in self._target.classes)
        write_atomic(self._target.folder / "labels.txt", text.encode())
