"""Cityscapes: files named by city, sequence and frame, four of labels for each image.

`X_leftImg8bit.png` has `X_gtFine_labelIds.png`, `_labelTrainIds.png`, `_color.png` and
`_polygons.json`; the first that is there is read. The ids are those of cityscapesScripts.
https://github.com/mcordts/cityscapesScripts
"""

from __future__ import annotations

import re
from pathlib import Path

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
from edgeseg.data.label_formats.mask_pictures import mask_by_index, mask_by_name
from edgeseg.imaging.array_types import IGNORE, Mask

NAME = re.compile(
    r"(?P<stem>.+)_gt(?:Fine|Coarse)_(?P<kind>labelIds|labelTrainIds|color|polygons)\.(?:png|json)"
)
KINDS = ("labelIds", "labelTrainIds", "color", "polygons")
IMAGE_END = "_leftImg8bit"
# Name, color and id in training, 255 for those that are ignored there, by the order of their ids.
LABELS = (
    ("unlabeled", 0x000000, 255),
    ("ego vehicle", 0x000000, 255),
    ("rectification border", 0x000000, 255),
    ("out of roi", 0x000000, 255),
    ("static", 0x000000, 255),
    ("dynamic", 0x6F4A00, 255),
    ("ground", 0x510051, 255),
    ("road", 0x804080, 0),
    ("sidewalk", 0xF423E8, 1),
    ("parking", 0xFAAAA0, 255),
    ("rail track", 0xE6968C, 255),
    ("building", 0x464646, 2),
    ("wall", 0x66669C, 3),
    ("fence", 0xBE9999, 4),
    ("guard rail", 0xB4A5B4, 255),
    ("bridge", 0x966464, 255),
    ("tunnel", 0x96785A, 255),
    ("pole", 0x999999, 5),
    ("polegroup", 0x999999, 255),
    ("traffic light", 0xFAAA1E, 6),
    ("traffic sign", 0xDCDC00, 7),
    ("vegetation", 0x6B8E23, 8),
    ("terrain", 0x98FB98, 9),
    ("sky", 0x4682B4, 10),
    ("person", 0xDC143C, 11),
    ("rider", 0xFF0000, 12),
    ("car", 0x00008E, 13),
    ("truck", 0x000046, 14),
    ("bus", 0x003C64, 15),
    ("caravan", 0x00005A, 255),
    ("trailer", 0x00006E, 255),
    ("train", 0x005064, 16),
    ("motorcycle", 0x0000E6, 17),
    ("bicycle", 0x770B20, 18),
)
VOID = frozenset({"unlabeled", "ego vehicle", "rectification border", "out of roi"})
NOT_DRAWN = frozenset({"license plate"})  # has id -1: what lies below it shows


def recognise(files: ExportFiles) -> bool:
    """Return whether files with Cityscapes' names are there."""
    return any(NAME.fullmatch(path.name) for path in files.files)


def read(files: ExportFiles) -> LabelExport:
    """Find the labels of each image."""
    found: dict[str, dict[str, Path]] = {}
    export = LabelExport()
    for path in files.files:
        match = NAME.fullmatch(path.name)
        if match:
            found.setdefault(match["stem"], {})[match["kind"]] = path
            export.not_images.add(path)
    for stem, of_kind in found.items():
        kind = next(kind for kind in KINDS if kind in of_kind)
        export.images.append(_image(files, stem, kind, of_kind[kind]))
    export.classes = [
        ClassSpec(name=name, color=(color >> 16, color >> 8 & 255, color & 255))
        for name, color, training in LABELS
        if training != IGNORE
    ]
    return export


def _image(files: ExportFiles, stem: str, kind: str, path: Path) -> LabelledImage:
    def draw(classes: ClassNames, size: Size) -> Mask:
        if kind == "polygons":
            return _from_polygons(files, path, classes)
        raw = open_raw_mask(path)
        if kind == "color":
            if raw.colors is None:
                raise ValueError("is no RGB PNG")
            names = {color: name for name, color, _ in reversed(LABELS)}
            names[LABELS[0][1]] = "ignore"
            return mask_by_name(raw.colors, names, classes, "color #{:06x}")
        if kind == "labelIds":
            ids = {index: _named(name) for index, (name, _, _) in enumerate(LABELS)}
        else:
            ids = {training: name for name, _, training in LABELS if training != IGNORE}
        return mask_by_name(mask_by_index(raw), {IGNORE: "ignore"} | ids, classes, "id {}")

    return LabelledImage(name=f"{stem}{IMAGE_END}", file=path, size=None, draw=draw)


def _named(name: str) -> str:
    """Return a name by which classes are looked up; what shows nothing is not labelled."""
    return "ignore" if name in VOID else name


def _from_polygons(files: ExportFiles, path: Path, classes: ClassNames) -> Mask:
    """Draw the polygons in their order; names ending in "group" are those of their members."""
    content = files.json(path)
    canvas = Canvas(checked_size(content["imgHeight"], content["imgWidth"]), classes)
    known = {name for name, _, _ in LABELS}
    for each in content["objects"]:
        name = str(each["label"])
        if each.get("deleted") or name in NOT_DRAWN:
            continue
        if name not in known and name.endswith("group"):
            name = name.removesuffix("group")
        canvas.polygon(_named(name), [ring_of(each["polygon"])])
    return canvas.finish()


FORMAT = LabelFormat(
    name="cityscapes", title="Cityscapes", exact=True, recognise=recognise, read=read
)
