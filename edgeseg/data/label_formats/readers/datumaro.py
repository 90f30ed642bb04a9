"""Datumaro: JSON files with categories and items, with polygons and run lengths.

Annotations with a higher `z_order` cover those below; within one, the later covers the earlier.
https://open-edge-platform.github.io/datumaro/
"""

from __future__ import annotations

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

AREAS = ("polygon", "mask", "bbox", "ellipse")
WITHOUT_AREA = ("polyline", "points")


def recognise(files: ExportFiles) -> bool:
    """Return whether a JSON file of Datumaro is there."""
    return bool(_tables(files))


def read(files: ExportFiles) -> LabelExport:
    """Read all JSON files of Datumaro."""
    export = LabelExport()
    specs: dict[str, None] = {}
    skipped = 0
    for path in _tables(files):
        content = files.json(path)
        names = [str(entry["name"]) for entry in content["categories"]["label"]["labels"]]
        specs |= dict.fromkeys(names)
        for item in content["items"]:
            areas = [each for each in item.get("annotations", []) if each.get("type") in AREAS]
            skipped += sum(each.get("type") in WITHOUT_AREA for each in item.get("annotations", []))
            if not areas:
                export.unlabelled += 1
                continue
            areas.sort(key=lambda each: int(each.get("z_order") or 0))
            export.images.append(_image(path, item, areas, names))
    export.classes = [ClassSpec(name=name) for name in specs]
    if skipped:
        export.notes.append(f"{skipped} lines and points, which have no area, were left out")
    return export


def _tables(files: ExportFiles) -> list[Path]:
    found = []
    for path in files.with_suffix(".json"):
        head = files.head(path)
        if b'"categories"' in head and (b'"dm_format_version"' in head or b'"items"' in head):
            found.append(path)
    return found


def _image(
    path: Path, item: dict[str, Any], areas: list[dict[str, Any]], names: list[str]
) -> LabelledImage:
    picture = item.get("image") or {}
    size = picture.get("size")
    runs = next((each["rle"] for each in areas if each["type"] == "mask"), None)
    if size is None and runs is not None:
        size = runs["size"]

    def draw(classes: ClassNames, size: Size) -> Mask:
        canvas = Canvas(size, classes)
        for area in areas:
            _paint(canvas, names[area["label_id"]], area, size)
        return canvas.finish()

    return LabelledImage(
        name=str(picture.get("path") or item["id"]),
        file=path,
        size=checked_size(*size) if size else None,
        draw=draw,
        exact=all(area["type"] == "mask" for area in areas),
    )


def _paint(canvas: Canvas, name: str, area: dict[str, Any], size: Size) -> None:
    if area["type"] == "polygon":
        canvas.polygon(name, [ring_of(area["points"])])
    elif area["type"] == "bbox":
        left, top, width, height = (float(value) for value in area["bbox"])
        canvas.box(name, left, top, left + width, top + height)
    elif area["type"] == "mask":
        counts = area["rle"]["counts"]
        runs = coco_runs(counts) if isinstance(counts, str) else runs_of_numbers(counts)
        if checked_size(*area["rle"]["size"]) != size:
            raise ValueError("has run lengths for another size than the image's")
        canvas.bits(name, bits_of_runs(runs, size, by_column=True))
    else:
        raise ValueError("has an ellipse; turn it into a polygon")


FORMAT = LabelFormat(
    name="datumaro", title="Datumaro JSON", exact=False, recognise=recognise, read=read
)
