"""YOLO segmentation: `labels/NAME.txt` with polygons, beside `images`, and `data.yaml`."""

from __future__ import annotations

from edgeseg.atomic_files import write_atomic
from edgeseg.data.label_formats.writers.label_writer import Target, WrittenFrame
from edgeseg.data.label_formats.writers.polygons import polygons_of
from edgeseg.imaging.array_types import Mask
from edgeseg.json_text import to_json


class YoloWriter:
    """Writes `images/NAME.jpg`, `labels/NAME.txt` and `data.yaml`."""

    def __init__(self, target: Target) -> None:
        """Begin."""
        self._target = target

    def add(self, frame: WrittenFrame) -> Mask:
        """Write image and polygons."""
        polygons, drawn = polygons_of(frame.mask)
        height, width = frame.mask.shape
        lines = [
            f"{polygon.class_id} "
            + " ".join(f"{value:.6f}" for value in (polygon.ring / (width, height)).ravel())
            + "\n"
            for polygon in polygons
        ]
        folder = self._target.folder
        write_atomic(folder / "images" / f"{frame.name}{frame.suffix}", frame.image, sync=False)
        write_atomic(folder / "labels" / f"{frame.name}.txt", "".join(lines).encode(), sync=False)
        return drawn

    def finish(self) -> None:
        """Write the names of the classes."""
        names = "".join(
            f"  {index}: {to_json(name, ensure_ascii=False)}\n"
            for index, name in enumerate(self._target.classes)
        )
        text = f"train: images\nval: images\nnames:\n{names}"
        write_atomic(self._target.folder / "data.yaml", text.encode())
