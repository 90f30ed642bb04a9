"""Label Studio: `tasks.json` with a brush for each class, beside `images`, and the setup.

Predictions become predictions of Label Studio, which are labels only when someone submits them.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from edgeseg.atomic_files import write_atomic
from edgeseg.data.label_formats.run_lengths import brush_numbers
from edgeseg.data.label_formats.writers.label_writer import Target, WrittenFrame
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.json_text import to_json


class LabelStudioWriter:
    """Writes `images/NAME.jpg`, `tasks.json` and `labeling-interface.xml`."""

    def __init__(self, target: Target) -> None:
        """Begin with no frame."""
        self._target = target
        self._tasks: list[dict[str, Any]] = []

    def add(self, frame: WrittenFrame) -> Mask:
        """Write the image, and keep its brushes."""
        name = f"{frame.name}{frame.suffix}"
        write_atomic(self._target.folder / "images" / name, frame.image, sync=False)
        height, width = frame.mask.shape
        results = [
            {
                "id": f"class-{class_id}",
                "type": "brushlabels",
                "from_name": "tag",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": {
                    "format": "rle",
                    "rle": brush_numbers(frame.mask == class_id),
                    "brushlabels": [self._target.classes[class_id]],
                },
            }
            for class_id in np.unique(frame.mask).tolist()
            if class_id != IGNORE
        ]
        drawn = [{"result": results}]
        self._tasks.append(
            {
                "id": len(self._tasks) + 1,
                "data": {"image": f"/data/local-files/?d=images/{name}"},
                "annotations": [] if frame.is_prediction else drawn,
                "predictions": drawn if frame.is_prediction else [],
            }
        )
        return frame.mask

    def finish(self) -> None:
        """Write the tasks, and the labeling interface that fits them."""
        labels = "".join(
            f'    <Label value={quoteattr(name)} background="#{red:02x}{green:02x}{blue:02x}"/>\n'
            for name, (red, green, blue) in zip(self._target.classes, self._target.palette)
        )
        setup = (
            '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
            f'  <BrushLabels name="tag" toName="image">\n{labels}  </BrushLabels>\n</View>\n'
        )
        write_atomic(self._target.folder / "labeling-interface.xml", setup.encode())
        write_atomic(self._target.folder / "tasks.json", to_json(self._tasks).encode())
