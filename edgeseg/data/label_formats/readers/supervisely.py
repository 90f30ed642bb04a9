"""Supervisely: `meta.json`, and folders with `img` beside `ann`, or beside masks.

Objects drawn later cover those before. Corners of polygons are pixels that belong to them;
bitmaps are PNG files, compressed by zlib and written as base64. Of projects exported as masks,
`masks_machine` is read by `obj_class_to_machine_color.json`, and `masks_human` by the colors of
`meta.json`.
https://docs.supervisely.com/customization-and-integration/00_ann_format_navi
"""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.data.ingest.masks.raw_mask import open_raw_mask
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
from edgeseg.data.label_formats.mask_pictures import bitmap_of_png, mask_by_name
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.opencv import cv2

META, MACHINE_COLORS = "meta.json", "obj_class_to_machine_color.json"
MACHINE, HUMAN = "masks_machine", "masks_human"
AREAS = ("polygon", "bitmap", "rectangle")
MOST_BITMAP_BYTES = 64 * 1024 * 1024


def recognise(files: ExportFiles) -> bool:
    """Return whether `meta.json` with classes of objects is there."""
    path = files.named(META)
    return path is not None and b'"classes"' in files.head(path) and b'"shape"' in files.head(path)


def read(files: ExportFiles) -> LabelExport:
    """Read the classes, and find annotations, or else masks."""
    meta = files.named(META)
    assert meta is not None
    export = LabelExport()
    export.classes = [
        ClassSpec(name=str(each["title"]), color=_color(each["color"]))
        for each in files.json(meta)["classes"]
    ]
    export.not_images = {
        path for path in files.files if path.parent.name in (MACHINE, HUMAN, "masks_instances")
    }
    skipped = 0
    for path in files.with_suffix(".json"):
        if path.parent.name != "ann":
            continue
        content = files.json(path)
        areas = [each for each in content["objects"] if each["geometryType"] in AREAS]
        skipped += len(content["objects"]) - len(areas)
        if areas:
            export.images.append(_annotated(files, path, content, areas))
        else:
            export.unlabelled += 1
    if skipped:
        export.notes.append(f"{skipped} lines, points and other shapes were left out")
    if not export.images:
        _find_masks(files, export)
    return export


def _color(text: str) -> tuple[int, int, int]:
    value = int(str(text).removeprefix("#"), 16)
    return value >> 16 & 255, value >> 8 & 255, value & 255


def _annotated(
    files: ExportFiles, path: Path, content: dict[str, Any], areas: list[dict[str, Any]]
) -> LabelledImage:
    inside = files.relative(path)

    def draw(classes: ClassNames, size: Size) -> Mask:
        canvas = Canvas(size, classes)
        for each in files.json(path)["objects"]:
            if each["geometryType"] in AREAS:
                _paint(canvas, each)
        return canvas.finish()

    return LabelledImage(
        name="/".join([*inside.parts[:-2], "img", inside.stem]),
        file=path,
        size=checked_size(content["size"]["height"], content["size"]["width"]),
        draw=draw,
        exact=all(each["geometryType"] == "bitmap" for each in areas),
    )


def _paint(canvas: Canvas, each: dict[str, Any]) -> None:
    name, kind = str(each["classTitle"]), each["geometryType"]
    if kind == "bitmap":
        left, top = (int(value) for value in each["bitmap"]["origin"])
        packed = base64.b64decode(each["bitmap"]["data"], validate=True)
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(packed, MOST_BITMAP_BYTES)
        except zlib.error:
            raise ValueError("has a damaged bitmap") from None
        if unpacker.unconsumed_tail:
            raise ValueError("has a bitmap that unpacks to more than any mask")
        canvas.bits(name, bitmap_of_png(data), left, top)
        return
    points = each["points"]
    if kind == "rectangle":
        corners = ring_of(points["exterior"])
        (left, top), (right, bottom) = corners.min(0), corners.max(0)
        canvas.box(name, left, top, right + 1, bottom + 1)
        return
    bits = np.zeros(canvas.size, np.uint8)
    cv2.fillPoly(bits, [ring_of(points["exterior"]).round().astype(np.int32)], 1)
    for hole in points.get("interior", []):
        cv2.fillPoly(bits, [ring_of(hole).round().astype(np.int32)], 0)
    canvas.bits(name, bits.astype(bool))


def _find_masks(files: ExportFiles, export: LabelExport) -> None:
    """Take the masks of a project that was exported as masks."""
    table = files.named(MACHINE_COLORS)
    kind = MACHINE if table else HUMAN
    if table:
        colors = {_number(color): str(name) for name, color in files.json(table).items()}
    else:
        colors = {_number(spec.color or ()): spec.name for spec in export.classes}
    colors.setdefault(0, "background")
    for path in files.with_suffix(".png"):
        if path.parent.name == kind:
            inside = files.relative(path)
            name = "/".join([*inside.parts[:-2], "img", inside.stem])
            export.images.append(_masked(path, name, colors))


def _number(color: Any) -> int:  # Any: of a stranger
    red, green, blue = (int(value) for value in color)
    return red << 16 | green << 8 | blue


def _masked(path: Path, name: str, colors: dict[int, str]) -> LabelledImage:
    def draw(classes: ClassNames, size: Size) -> Mask:
        raw = open_raw_mask(path)
        values = raw.colors
        if values is None:
            assert raw.ids is not None
            values = raw.ids.astype(np.uint32) * 0x010101
        return mask_by_name(values, colors, classes, "color #{:06x}")

    return LabelledImage(name=name, file=path, size=None, draw=draw)


FORMAT = LabelFormat(
    name="supervisely", title="Supervisely", exact=False, recognise=recognise, read=read
)
