"""COCO: one JSON file for many images, with polygons or run lengths.

Annotations have no order, so large ones are painted first and small ones over them.
https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from edgeseg.data.label_formats.canvas import Canvas, checked_size, ring_of
from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.data.label_formats.export_files import ExportFiles
from edgeseg.data.label_formats.label_export import (
    ClassSpec,
    LabelExport,
    LabelFormat,
    LabelledImage,
    Size,
)
from edgeseg.data.label_formats.run_lengths import bits_of_runs, coco_runs, runs_of_numbers
from edgeseg.imaging.array_types import Mask

MARKS = (b'"image_id"', b'"file_name"', b'"coco_url"', b'"segmentation"', b'"supercategory"')


def is_coco(head: bytes) -> bool:
    """Return whether a JSON file that begins so is one of COCO's."""
    return head.lstrip().startswith(b"{") and any(mark in head for mark in MARKS)


def recognise(files: ExportFiles) -> bool:
    """Return whether a JSON file of COCO is there."""
    return any(
        is_coco(head := files.head(path)) and b'"segments_info"' not in head
        for path in files.with_suffix(".json")
    )


def read(files: ExportFiles) -> LabelExport:
    """Read all JSON files with annotations that have a segmentation."""
    export = LabelExport()
    specs: dict[str, None] = {}
    boxes = 0
    for path in files.with_suffix(".json"):
        if not is_coco(files.head(path)):
            continue
        content = files.json(path)
        if "annotations" not in content or "images" not in content:
            continue
        names = {entry["id"]: str(entry["name"]) for entry in content.get("categories", [])}
        specs |= dict.fromkeys(names.values())
        of_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for annotation in content["annotations"]:
            if annotation.get("segmentation"):
                of_image[annotation["image_id"]].append(annotation)
            else:
                boxes += 1
        for entry in content["images"]:
            annotations = of_image.get(entry["id"])
            if annotations:
                export.images.append(_image(path, entry, annotations, names))
            else:
                export.unlabelled += 1
    export.classes = [ClassSpec(name=name) for name in specs]
    if boxes:
        export.notes.append(f"{boxes} annotations have a box and no mask, and were left out")
    return export


def _image(
    path: Path, entry: dict[str, Any], annotations: list[dict[str, Any]], names: dict[Any, str]
) -> LabelledImage:
    def draw(classes: ClassNames, size: Size) -> Mask:
        canvas = Canvas(size, classes, smallest_last=True)
        for annotation in annotations:
            name = names.get(annotation["category_id"])
            if name is None:
                raise ValueError(f"has category {annotation['category_id']}, which has no name")
            _paint(canvas, name, annotation["segmentation"], size)
        return canvas.finish()

    return LabelledImage(
        name=str(entry["file_name"]),
        file=path,
        size=checked_size(entry["height"], entry["width"]),
        draw=draw,
        exact=all(isinstance(each["segmentation"], dict) for each in annotations),
    )


def _paint(canvas: Canvas, name: str, segmentation: Any, size: Size) -> None:  # Any: of a stranger
    if isinstance(segmentation, dict):
        if checked_size(*segmentation["size"]) != size:
            raise ValueError("has run lengths for another size than the image's")
        counts = segmentation["counts"]
        runs = coco_runs(counts) if isinstance(counts, str) else runs_of_numbers(counts)
        canvas.bits(name, bits_of_runs(runs, size, by_column=True))
        return
    for part in segmentation:
        canvas.polygon(name, [ring_of(part)])


FORMAT = LabelFormat(name="coco", title="COCO JSON", exact=False, recognise=recognise, read=read)
