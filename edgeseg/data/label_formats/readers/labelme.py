"""labelme: a JSON file beside each image, with shapes in the order in which they were drawn.

Also what X-AnyLabeling writes. Shapes drawn later cover those before, as labelme shows them. Of the
shapes, polygons, rectangles, circles and masks have an area; lines and points are left out.
https://github.com/wkentaro/labelme
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

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
from edgeseg.data.label_formats.mask_pictures import bitmap_of_png
from edgeseg.imaging.array_types import Mask

LOOKED_AT = 20  # files by which a folder is recognised
CIRCLE_CORNERS = 72
WITHOUT_AREA = ("line", "linestrip", "point", "points")


def recognise(files: ExportFiles) -> bool:
    """Return whether JSON files of labelme are there."""
    return any(
        b'"shapes"' in (head := files.head(path))
        and (b'"points"' in head or b'"imagePath"' in head)
        for path in files.with_suffix(".json")[:LOOKED_AT]
    )


def read(files: ExportFiles) -> LabelExport:
    """Read all JSON files that hold shapes."""
    export = LabelExport()
    names: dict[str, None] = {}
    skipped = 0
    for path in files.with_suffix(".json"):
        content = files.json(path)
        if not isinstance(content, dict) or "shapes" not in content:
            continue
        areas = [shape for shape in content["shapes"] if _kind(shape) not in WITHOUT_AREA]
        skipped += len(content["shapes"]) - len(areas)
        names |= dict.fromkeys(str(shape["label"]) for shape in areas)
        if not areas:
            export.unlabelled += 1
            continue
        export.images.append(_image(files, path, content))
    export.classes = [ClassSpec(name=name) for name in names]
    if skipped:
        export.notes.append(f"{skipped} lines and points, which have no area, were left out")
    return export


def _image(files: ExportFiles, path: Path, content: dict[str, Any]) -> LabelledImage:
    image_path = str(content.get("imagePath") or "").replace("\\", "/")
    height, width = content.get("imageHeight"), content.get("imageWidth")

    def draw(classes: ClassNames, size: Size) -> Mask:
        return _draw(files.json(path)["shapes"], classes, size)

    def embedded() -> bytes:
        try:
            return base64.b64decode(files.json(path)["imageData"], validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("holds a damaged image") from None

    return LabelledImage(
        name=PurePosixPath(image_path).name or path.stem,
        file=path,
        size=checked_size(height, width) if height and width else None,
        draw=draw,
        embedded=embedded if content.get("imageData") else None,
    )


def _kind(shape: dict[str, Any]) -> str:
    return str(shape.get("shape_type") or "polygon")


def _draw(shapes: list[dict[str, Any]], classes: ClassNames, size: Size) -> Mask:
    canvas = Canvas(size, classes)
    for shape in shapes:
        kind, name = _kind(shape), str(shape["label"])
        if kind in WITHOUT_AREA:
            continue
        points = ring_of(shape["points"])
        if kind in ("polygon", "rotation"):
            canvas.polygon(name, [points])
        elif kind == "rectangle":
            (left, top), (right, bottom) = points.min(0), points.max(0)
            canvas.box(name, left, top, right, bottom)
        elif kind == "circle":
            radius = float(np.hypot(*(points[1] - points[0])))
            angles = np.linspace(0, 2 * np.pi, CIRCLE_CORNERS, endpoint=False)
            around = np.stack([np.cos(angles), np.sin(angles)], 1)
            canvas.polygon(name, [ring_of(points[0] + radius * around)])
        elif kind == "mask":
            bits = bitmap_of_png(base64.b64decode(shape["mask"], validate=True))
            canvas.bits(name, bits, round(points[0, 0]), round(points[0, 1]))
        else:
            raise ValueError(f"has a shape of unknown kind {kind[:40]!r}")
    return canvas.finish()


FORMAT = LabelFormat(
    name="labelme", title="labelme JSON", exact=False, recognise=recognise, read=read
)
