"""COCO panoptic: a JSON file, and a PNG for each image whose colors are ids of segments.

The id is R + 256 G + 65536 B, and 0 is "not labelled".
https://cocodataset.org/#format-data
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from edgeseg.data.ingest.masks.raw_mask import open_raw_mask
from edgeseg.data.label_formats.canvas import checked_size
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
from edgeseg.data.label_formats.readers.coco import is_coco
from edgeseg.imaging.array_types import Mask


def recognise(files: ExportFiles) -> bool:
    """Return whether a panoptic JSON file is there."""
    return bool(_tables(files))


def read(files: ExportFiles) -> LabelExport:
    """Read all panoptic JSON files, whose masks lie in folders beside them."""
    export = LabelExport()
    specs: dict[str, None] = {}
    pictures = _pictures(files)
    for path in _tables(files):
        content = files.json(path)
        names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
        specs |= dict.fromkeys(names.values())
        images = {entry["id"]: entry for entry in content["images"]}
        for annotation in content["annotations"]:
            entry = images.pop(annotation["image_id"])
            found = pictures.get(PurePosixPath(str(annotation["file_name"])).name, [])
            masks = [mask for mask in found if path.stem in mask.parts] or found
            if not masks:
                raise ValueError(f"lacks the mask {annotation['file_name']}")
            mask = max(masks, key=lambda each: "panoptic" in str(each.parent.name))
            export.images.append(_image(path, mask, entry, annotation["segments_info"], names))
            export.not_images.add(mask)
        export.unlabelled += len(images)
    export.classes = [ClassSpec(name=name) for name in specs]
    return export


def _tables(files: ExportFiles) -> list[Path]:
    """Return the panoptic JSON files; lists of segments may begin late in a long file."""
    found = [path for path in files.with_suffix(".json") if is_coco(files.head(path))]
    return [
        path
        for path in found
        if b'"segments_info"' in files.head(path) or path.stem.startswith("panoptic")
    ]


def _pictures(files: ExportFiles) -> dict[str, list[Path]]:
    """Return PNG files by name; those beside a JSON file that was named alone, too."""
    found = files.with_suffix(".png")
    if files.is_one_file:
        found = sorted(files.root.glob("*/*.png"))
    by_name: dict[str, list[Path]] = {}
    for path in found:
        by_name.setdefault(path.name, []).append(path)
    return by_name


def _image(
    table: Path,
    path: Path,
    entry: dict[str, Any],
    segments: list[dict[str, Any]],
    names: dict[Any, str],
) -> LabelledImage:
    def draw(classes: ClassNames, size: Size) -> Mask:
        raw = open_raw_mask(path)
        if raw.colors is None:
            raise ValueError("has a mask that is no RGB PNG")
        red, green, blue = raw.colors >> 16, raw.colors >> 8 & 255, raw.colors & 255
        ids = red | green << 8 | blue << 16
        of_segment = {int(each["id"]): names[each["category_id"]] for each in segments}
        return mask_by_name(
            np.asarray(ids, np.int64), {0: "ignore"} | of_segment, classes, "segment {}"
        )

    return LabelledImage(
        name=str(entry["file_name"]),
        file=table,
        size=checked_size(entry["height"], entry["width"]),
        draw=draw,
    )


FORMAT = LabelFormat(
    name="coco-panoptic", title="COCO panoptic", exact=True, recognise=recognise, read=read
)
