"""CVAT for images 1.1: one XML file for many images, with polygons, boxes, ellipses and masks.

Shapes with a higher `z_order` cover those below; within one, the later covers the earlier. A mask
gives its box and the runs of 0 and 1 along the box's rows, beginning with 0.
https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

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
from edgeseg.data.label_formats.run_lengths import bits_of_runs, runs_of_numbers
from edgeseg.imaging.array_types import Mask

AREAS = ("polygon", "box", "ellipse", "mask")
ELLIPSE_CORNERS = 72


def recognise(files: ExportFiles) -> bool:
    """Return whether an XML file of CVAT is there."""
    return bool(_tables(files))


def read(files: ExportFiles) -> LabelExport:
    """Read all XML files of CVAT.

    Raises:
        ValueError: One holds the tracks of a video.
    """
    export = LabelExport()
    names: dict[str, tuple[int, int, int] | None] = {}
    skipped = 0
    for path in _tables(files):
        root = files.xml(path)
        if root.find("track") is not None:
            raise ValueError(
                "it holds tracks of a video (CVAT for video); export it as CVAT for images"
            )
        for label in root.iter("label"):
            if name := label.findtext("name"):
                names.setdefault(name, _color(label.findtext("color") or ""))
        for image in root.iter("image"):
            shapes = [element for element in image if element.tag in AREAS]
            skipped += sum(element.tag in ("polyline", "points", "cuboid") for element in image)
            if not shapes:
                export.unlabelled += 1
                continue
            shapes.sort(key=lambda element: int(element.get("z_order") or 0))
            export.images.append(_image(path, image, shapes))
    export.classes = [ClassSpec(name=name, color=color) for name, color in names.items()]
    if skipped:
        export.notes.append(f"{skipped} lines, points and cuboids were left out")
    return export


def _tables(files: ExportFiles) -> list[Path]:
    return [
        path
        for path in files.with_suffix(".xml")
        if b"<annotations" in (head := files.head(path)) and b"<object>" not in head
    ]


def _color(text: str) -> tuple[int, int, int] | None:
    try:
        value = int(text.removeprefix("#"), 16)
    except ValueError:
        return None
    return (value >> 16 & 255, value >> 8 & 255, value & 255) if len(text) == 7 else None


def _image(
    path: Path, image: ElementTree.Element, shapes: list[ElementTree.Element]
) -> LabelledImage:
    def draw(classes: ClassNames, size: Size) -> Mask:
        canvas = Canvas(size, classes)
        for shape in shapes:
            _paint(canvas, shape)
        return canvas.finish()

    return LabelledImage(
        name=image.attrib["name"],
        file=path,
        size=checked_size(image.get("height"), image.get("width")),
        draw=draw,
        exact=all(shape.tag == "mask" for shape in shapes),
    )


def _paint(canvas: Canvas, shape: ElementTree.Element) -> None:
    name = shape.attrib["label"]

    def numbers(*keys: str) -> list[float]:
        return [float(shape.attrib[key]) for key in keys]

    if shape.tag == "polygon":
        canvas.polygon(
            name, [ring_of([pair.split(",") for pair in shape.attrib["points"].split(";") if pair])]
        )
    elif shape.tag == "box":
        canvas.box(name, *numbers("xtl", "ytl", "xbr", "ybr"))
    elif shape.tag == "ellipse":
        x, y, radius_x, radius_y = numbers("cx", "cy", "rx", "ry")
        angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
        around = np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], 1)
        canvas.polygon(name, [ring_of(around)])
    else:
        left, top, width, height = (
            int(value) for value in numbers("left", "top", "width", "height")
        )
        runs = runs_of_numbers([int(part) for part in shape.attrib["rle"].split(",")])
        canvas.bits(name, bits_of_runs(runs, checked_size(height, width)), left, top)


FORMAT = LabelFormat(
    name="cvat", title="CVAT for images (XML)", exact=False, recognise=recognise, read=read
)
