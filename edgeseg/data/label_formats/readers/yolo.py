"""YOLO segmentation: a text file for each image, a line for each object, and `data.yaml`.

A line is the number of the class and the corners of a polygon, in shares of width and height. There
is no order, so large polygons are painted first and small ones over them, as Ultralytics does.
https://docs.ultralytics.com/datasets/segment/
"""

from __future__ import annotations

from pathlib import Path

from edgeseg.data.label_formats.canvas import MOST_SHAPES, Canvas, ring_of
from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.data.label_formats.export_files import ExportFiles
from edgeseg.data.label_formats.label_export import (
    ClassSpec,
    LabelExport,
    LabelFormat,
    LabelledImage,
    Size,
)
from edgeseg.data.label_formats.yaml_names import names_of_yaml
from edgeseg.imaging.array_types import Mask

LABEL_FOLDER = "labels"


def recognise(files: ExportFiles) -> bool:
    """Return whether `data.yaml`, or another list of names, and text files of labels are there."""
    return _list_file(files) is not None and bool(_label_files(files))


def read(files: ExportFiles) -> LabelExport:
    """Read the names, and find the labels."""
    path = _list_file(files)
    assert path is not None
    names = names_of_yaml(files.text(path))
    export = LabelExport(classes=[ClassSpec(name=name) for name in names.values()])
    for label in _label_files(files):
        if label.stat().st_size:
            export.images.append(_image(files, label, names))
        else:
            export.unlabelled += 1
    return export


def _list_file(files: ExportFiles) -> Path | None:
    """Return the uppermost YAML file with names."""
    found = [path for path in files.with_suffix(".yaml", ".yml") if b"names:" in files.head(path)]
    return min(found, key=lambda path: (len(path.parts), path.name != "data.yaml"), default=None)


def _label_files(files: ExportFiles) -> list[Path]:
    return [
        path
        for path in files.with_suffix(".txt")
        if LABEL_FOLDER in files.relative(path).parts[:-1] and path.name != "classes.txt"
    ]


def _image(files: ExportFiles, path: Path, names: dict[int, str]) -> LabelledImage:
    inside = files.relative(path)
    folders = ["images" if part == LABEL_FOLDER else part for part in inside.parts[:-1]]

    def draw(classes: ClassNames, size: Size) -> Mask:
        canvas = Canvas(size, classes, smallest_last=True)
        lines = files.text(path).split("\n", MOST_SHAPES)
        for number, line in enumerate(lines, 1):
            values = line.split()
            if not values:
                continue
            if len(values) < 7 or len(values) % 2 == 0:
                kind = "a box" if len(values) == 5 else "no class with the corners of a polygon"
                raise ValueError(f"has {kind} in line {number}; masks come from YOLO segmentation")
            class_id = int(values[0])
            if class_id not in names:
                raise ValueError(f"has class {class_id} in line {number}, which has no name")
            canvas.polygon(names[class_id], [ring_of(values[1:], (size[1], size[0]))])
        return canvas.finish()

    return LabelledImage(name="/".join([*folders, inside.stem]), file=path, size=None, draw=draw)


FORMAT = LabelFormat(
    name="yolo", title="YOLO segmentation", exact=False, recognise=recognise, read=read
)
