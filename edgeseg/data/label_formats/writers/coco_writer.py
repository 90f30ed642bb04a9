"""COCO: a table with the run lengths of each class, where COCO itself has it, beside `images`."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeseg.atomic_files import write_atomic
from edgeseg.data.label_formats.run_lengths import coco_text, runs_of_bits
from edgeseg.data.label_formats.writers.label_writer import Target, WrittenFrame
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.json_text import to_json

TABLE = "annotations/instances_default.json"  # datumaro finds no other name


class CocoWriter:
    """Writes `images/NAME.jpg` and `annotations/instances_default.json`."""

    def __init__(self, target: Target) -> None:
        """Begin with no frame."""
        self._target = target
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, frame: WrittenFrame) -> Mask:
        """Write the image, and keep its run lengths."""
        name = f"{frame.name}{frame.suffix}"
        write_atomic(self._target.folder / "images" / name, frame.image, sync=False)
        height, width = frame.mask.shape
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": name, "height": height, "width": width})
        for class_id in np.unique(frame.mask):
            if class_id == IGNORE:
                continue
            bits = frame.mask == class_id
            rows, columns = np.flatnonzero(bits.any(1)), np.flatnonzero(bits.any(0))
            left, top = int(columns[0]), int(rows[0])
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": int(class_id) + 1,
                    "segmentation": {
                        "size": [height, width],
                        "counts": coco_text(runs_of_bits(bits, by_column=True)),
                    },
                    "area": int(bits.sum()),
                    "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
                    "iscrowd": 0,
                }
            )
        return frame.mask

    def finish(self) -> None:
        """Write the table."""
        table = {
            "info": {},
            "licenses": [],
            "categories": [
                {"id": index + 1, "name": name, "supercategory": ""}
                for index, name in enumerate(self._target.classes)
            ],
            "images": self._images,
            "annotations": self._annotations,
        }
        write_atomic(self._target.folder / TABLE, to_json(table).encode())
