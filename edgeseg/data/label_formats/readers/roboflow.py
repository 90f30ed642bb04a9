"""Roboflow's "Semantic Segmentation Masks": images and masks in one folder, with `_classes.csv`.

`7.jpg` has the mask `7_mask.png`, whose gray values `_classes.csv` names, a file for each split.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from edgeseg.data.ingest.masks.raw_mask import open_raw_mask
from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.data.label_formats.export_files import ExportFiles
from edgeseg.data.label_formats.label_export import (
    ClassSpec,
    LabelExport,
    LabelFormat,
    LabelledImage,
    Size,
)
from edgeseg.data.label_formats.mask_pictures import mask_by_index, mask_by_name
from edgeseg.imaging.array_types import IGNORE, Mask

LIST, MASK_END = "_classes.csv", "_mask"


def recognise(files: ExportFiles) -> bool:
    """Return whether `_classes.csv` is there."""
    return files.named(LIST) is not None


def read(files: ExportFiles) -> LabelExport:
    """Read the names of every folder, and find its masks."""
    export = LabelExport()
    specs: dict[str, None] = {}
    of_folder = {
        path.parent: parse_classes_csv(files.text(path))
        for path in files.files
        if path.name == LIST
    }
    for names in of_folder.values():
        specs |= dict.fromkeys(names.values())
    for path in files.with_suffix(".png"):
        if path.parent in of_folder and path.stem.endswith(MASK_END):
            name = str(files.relative(path).with_name(path.stem.removesuffix(MASK_END)))
            export.images.append(_image(path, name, of_folder[path.parent]))
            export.not_images.add(path)
    export.classes = [ClassSpec(name=name) for name in specs]
    return export


def parse_classes_csv(text: str) -> dict[int, str]:
    """Return the names by gray value.

    Raises:
        ValueError: The text is no such list.
    """
    names = {}
    for row in csv.reader(io.StringIO(text), skipinitialspace=True):
        if len(row) >= 2 and row[0].strip().isdecimal():
            names[int(row[0])] = row[1].strip()
    if not names:
        raise ValueError(f"{LIST} has no lines of a gray value and a class")
    return names


def _image(path: Path, name: str, names: dict[int, str]) -> LabelledImage:
    def draw(classes: ClassNames, size: Size) -> Mask:
        raw = mask_by_index(open_raw_mask(path))
        return mask_by_name(raw, {IGNORE: "ignore"} | names, classes, "id {}")

    return LabelledImage(name=name, file=path, size=None, draw=draw)


FORMAT = LabelFormat(
    name="roboflow", title="Roboflow's mask folders", exact=True, recognise=recognise, read=read
)
