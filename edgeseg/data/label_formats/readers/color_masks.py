"""Mask files with a list of colors: CVAT's "Segmentation mask 1.1", Pascal VOC, CamVid.

`labelmap.txt` (CVAT, Datumaro) has lines `name:R,G,B:parts:actions`, `label_colors.txt` (CamVid)
has `R G B name`, and either names what the colors of the masks mean. Where the list gives no
colors, and in masks of bare ids, the order of its lines counts.
https://docs.cvat.ai/docs/dataset_management/formats/format-smask/
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeseg.data.ingest.masks.raw_mask import RawMask, open_raw_mask
from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.data.label_formats.export_files import ExportFiles
from edgeseg.data.label_formats.label_export import (
    ClassSpec,
    LabelExport,
    LabelFormat,
    LabelledImage,
    Size,
)
from edgeseg.data.label_formats.mask_pictures import mask_by_name
from edgeseg.imaging.array_types import IGNORE, Mask

LISTS = ("labelmap.txt", "label_colors.txt")
VOC_BORDER = 0xE0E0C0  # "not labelled" in Pascal VOC's own masks
MASK_FOLDERS = ("SegmentationClass", "SegmentationClassPNG")
MASK_FOLDER_END = "annot"  # CamVid: trainannot beside train
OBJECT_FOLDER = "SegmentationObject"
MOST_CLASSES = 10_000


def recognise(files: ExportFiles) -> bool:
    """Return whether a list of colors and masks are there."""
    return _list_file(files) is not None and bool(_mask_files(files))


def read(files: ExportFiles) -> LabelExport:
    """Read the list, and find the masks."""
    path = _list_file(files)
    assert path is not None
    specs = parse_class_list(files.text(path))
    export = LabelExport(classes=specs)
    for mask, name in _mask_files(files):
        export.images.append(_image(mask, name, specs))
        export.not_images.add(mask)
    export.not_images |= {path.parent for path in files.files if path.parent.name == OBJECT_FOLDER}
    return export


def parse_class_list(text: str) -> list[ClassSpec]:
    """Return the classes of `labelmap.txt` or `label_colors.txt`, in order.

    Raises:
        ValueError: A line is of neither kind.
    """
    specs = []
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if ":" in line:
            name, color = line.split(":")[:2]
            parts = color.split(",") if color.strip() else []
        else:
            *parts, name = line.split(None, 3)
        specs.append(ClassSpec(name=name.strip(), color=_color(parts, line)))
        if len(specs) > MOST_CLASSES:
            raise ValueError(f"lists more than {MOST_CLASSES} classes")
    if not specs:
        raise ValueError("lists no class")
    return specs


def _color(parts: list[str], line: str) -> tuple[int, int, int] | None:
    if not parts:
        return None
    values = [int(part) if part.strip().isdecimal() else -1 for part in parts]
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        raise ValueError(f"has the line {line[:80]!r}, which is no class with its color")
    return values[0], values[1], values[2]


def _list_file(files: ExportFiles) -> Path | None:
    """Return the list of colors, which may lie beside the folder of the masks that was named."""
    for name in LISTS:
        beside = files.root.parent / name
        if found := files.named(name) or (beside if beside.is_file() else None):
            return found
    return None


def has_list_beside(files: ExportFiles) -> bool:
    """Return whether the list of colors lies beside the folder that was named, and not in it.

    That is so for a folder of such masks, and for the folder of their images as well.
    """
    return not any(files.named(name) for name in LISTS) and _list_file(files) is not None


def _mask_files(files: ExportFiles) -> list[tuple[Path, str]]:
    """Return mask files and the names of their images, which lie in another folder."""
    found, others = [], []
    for path in files.with_suffix(".png"):
        inside = files.relative(path)
        folders = list(inside.parts[:-1])
        at = next((i for i, part in enumerate(folders) if is_mask_folder(part)), None)
        if at is not None:
            folder = folders[at].removesuffix(MASK_FOLDER_END)
            kept = [] if folder in MASK_FOLDERS else [folder]
            found.append((path, "/".join([*kept, *folders[at + 1 :], inside.stem])))
        elif OBJECT_FOLDER not in folders:
            others.append((path, str(inside.with_suffix(""))))
    if found or any((files.root / name).is_file() for name in LISTS):
        return found
    return others  # the folder of the masks itself was named


def is_mask_folder(name: str) -> bool:
    return name in MASK_FOLDERS or name.endswith(MASK_FOLDER_END)


def _image(path: Path, name: str, specs: list[ClassSpec]) -> LabelledImage:
    def draw(classes: ClassNames, size: Size) -> Mask:
        return _mask(open_raw_mask(path), specs, classes)

    return LabelledImage(name=name, file=path, size=None, draw=draw)


def _mask(raw: RawMask, specs: list[ClassSpec], classes: ClassNames) -> Mask:
    """Look colors up where the list has them and the mask's are among them, else indices."""
    of_color = {
        spec.color[0] << 16 | spec.color[1] << 8 | spec.color[2]: spec.name
        for spec in specs
        if spec.color
    }
    of_color.setdefault(VOC_BORDER, "ignore")
    of_index = {index: spec.name for index, spec in enumerate(specs)} | {IGNORE: "ignore"}
    if raw.ids is None:
        assert raw.colors is not None
        return mask_by_name(raw.colors, of_color, classes, "color #{:06x}")
    if raw.palette is not None:
        used = [int(index) for index in np.unique(raw.ids)]
        by_color = {index: of_color.get(int(raw.palette[index])) for index in used}
        if by_color.get(IGNORE, "") is None:
            by_color[IGNORE] = "ignore"
        named = {index: name for index, name in by_color.items() if name is not None}
        if len(named) == len(used):
            return mask_by_name(raw.ids, named, classes, "id {}")
    return mask_by_name(raw.ids, of_index, classes, "id {}")


FORMAT = LabelFormat(
    name="color-masks",
    title="masks with labelmap.txt or label_colors.txt (CVAT, VOC, CamVid)",
    exact=True,
    recognise=recognise,
    read=read,
)
