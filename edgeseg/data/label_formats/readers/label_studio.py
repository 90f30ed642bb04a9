"""Label Studio: a JSON file of tasks, with brushes, polygons, rectangles and ellipses.

Both the full export (JSON) and the short one (JSON-MIN) are read. Regions drawn later cover those
before. Of several people's annotations of a task the ground truth counts, else the newest that was
not cancelled; predictions are no labels. Its PNG export names no images: with the JSON export in
the same folder it is not needed, and without it is refused.
https://labelstud.io/guide/export
"""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from edgeseg.data.label_formats.canvas import Canvas, Ring, checked_size, ring_of
from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.data.label_formats.export_files import ExportFiles
from edgeseg.data.label_formats.label_export import (
    ClassSpec,
    LabelExport,
    LabelFormat,
    LabelledImage,
    Size,
)
from edgeseg.data.label_formats.run_lengths import brush_bits
from edgeseg.imaging.array_types import Mask

LABELS = ("brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels")
SIDES = 256  # of the polygon that an ellipse is drawn as
UPLOAD_MARK = re.compile(r"^[0-9a-f]{8}-(?=.)")  # that Label Studio puts before uploaded names
PNG_NAME = re.compile(r"task-\d+-annotation-.*\.png")
TASK_MARKS = (b'"annotations"', b'"completions"', b'"annotation_id"', b'"annotator"')


def recognise(files: ExportFiles) -> bool:
    """Return whether a JSON file of tasks is there, or the PNG files of brushes."""
    return bool(_tables(files)) or any(PNG_NAME.fullmatch(path.name) for path in files.files)


def read(files: ExportFiles) -> LabelExport:
    """Read all JSON files of tasks.

    Raises:
        ValueError: There are PNG files of brushes alone.
    """
    export = LabelExport()
    export.not_images = {path for path in files.files if PNG_NAME.fullmatch(path.name)}
    tables = _tables(files)
    if not tables:
        raise ValueError(
            "its PNG files do not tell which image they are of; export JSON from Label Studio"
        )
    names: dict[str, None] = {}
    several = left_out = 0
    for path in tables:
        for task in files.json(path):
            regions, others, without_area = _regions(task)
            several += others
            left_out += without_area
            names |= dict.fromkeys(_label(region) for region in regions)
            if regions:
                export.images.append(_image(path, task, regions))
            else:
                export.unlabelled += 1
    export.classes = [ClassSpec(name=name) for name in names]
    if several:
        export.notes.append(
            f"{several} task(s) have annotations of several people; the ground truth counts, "
            "else the newest"
        )
    if left_out:
        export.notes.append(
            f"{left_out} regions of other kinds were left out: key points, or areas whose label is "
            "a separate Labels tag; label areas with BrushLabels or PolygonLabels"
        )
    return export


def _tables(files: ExportFiles) -> list[Path]:
    found = []
    for path in files.with_suffix(".json"):
        head = files.head(path).lstrip()
        if head.startswith(b"[") and any(mark in head for mark in TASK_MARKS):
            found.append(path)
    return found


def _regions(task: dict[str, Any]) -> tuple[list[dict[str, Any]], bool, int]:
    """Return the regions of a task in the order of painting, and what else there is.

    Returns:
        The regions, whether several people annotated the task, and how many regions it has that
        have no area or are of another kind.
    """
    annotations = task.get("annotations", task.get("completions"))
    if annotations is None:  # JSON-MIN: a list of values under each tag's name
        lists = [value for value in task.values() if isinstance(value, list)]
        values = [each for value in lists for each in value if isinstance(each, dict)]
        regions = [each for each in values if any(label in each for label in LABELS)]
        return regions, False, sum(_is_other_label(each) for each in values)
    kept = [each for each in annotations if not each.get("was_cancelled") and each.get("result")]
    if not kept:
        return [], False, 0
    best = max(
        kept,
        key=lambda each: (
            bool(each.get("ground_truth")),
            str(each.get("updated_at") or each.get("created_at") or ""),
        ),
    )
    regions, left_out = list[dict[str, Any]](), 0
    for result in best["result"]:
        if result.get("type") in LABELS:
            sizes = {key: result.get(key) for key in ("original_width", "original_height")}
            regions.append(result["value"] | sizes)
        else:  # relations and choices for the whole picture have no labels
            left_out += _is_other_label(result.get("value"))
    return regions, len(kept) > 1, left_out


def _is_other_label(value: object) -> bool:
    keys = value.keys() if isinstance(value, dict) else ()
    return any(str(key).endswith("labels") and key not in LABELS for key in keys)


def _label(region: dict[str, Any]) -> str:
    return str(next(region[key] for key in LABELS if key in region)[0])


def _image(path: Path, task: dict[str, Any], regions: list[dict[str, Any]]) -> LabelledImage:
    def draw(classes: ClassNames, size: Size) -> Mask:
        canvas = Canvas(size, classes)
        for region in regions:
            _paint(canvas, region, size)
        return canvas.finish()

    size = (regions[0]["original_height"], regions[0]["original_width"])
    name, *others = _names(task)
    return LabelledImage(
        name=name, other_names=tuple(others), file=path, size=checked_size(*size), draw=draw
    )


def _names(task: dict[str, Any]) -> list[str]:
    """Return what a task's image may be called, the whole name first.

    Of "/data/upload/3/0a1b2c3d-7%20a.jpg" that is "0a1b2c3d-7 a.jpg", then "7 a.jpg": the mark may
    be Label Studio's, or as in "20240131-7.jpg" a date.
    """
    data = task.get("data", task)
    urls = [value for value in data.values() if isinstance(value, str) and "." in value]
    address = data.get("image") or data.get("img") or (urls[0] if urls else "")
    path = re.split(r"[?#]", str(address).partition("?d=")[2] or str(address))[0]
    names = [PurePosixPath(each).name for each in (urllib.parse.unquote(path), path)]
    if not names[0]:
        raise ValueError("has a task that names no image")
    return list(dict.fromkeys([*names, *(UPLOAD_MARK.sub("", name) for name in names)]))


def _paint(canvas: Canvas, region: dict[str, Any], size: Size) -> None:
    name = _label(region)
    height, width = size
    percent = (width / 100, height / 100)
    if region.get("format") == "rle" or "rle" in region:
        canvas.bits(name, brush_bits(region["rle"], size))
    elif "points" in region:
        canvas.polygon(name, [ring_of(region["points"], percent)])
    elif "radiusX" in region:
        angles = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)
        radii = region["radiusX"] * percent[0], region["radiusY"] * percent[1]
        outline = np.stack([np.cos(angles), np.sin(angles)], 1) * radii
        canvas.polygon(name, [_placed(outline, region, percent)])
    else:
        right, bottom = region["width"] * percent[0], region["height"] * percent[1]
        corners = np.array([(0, 0), (right, 0), (right, bottom), (0, bottom)], float)
        canvas.polygon(name, [_placed(corners, region, percent)])


def _placed(points: Ring, region: dict[str, Any], percent: tuple[float, float]) -> Ring:
    """Return points turned clockwise about (0, 0), then moved to where a region's x and y are.

    That is the center of an ellipse and the upper left corner of a rectangle.
    """
    angle = np.deg2rad(float(region.get("rotation") or 0))
    turned = points @ [(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))]
    place = np.array([region["x"], region["y"]], float) * percent
    return ring_of(turned + place)


FORMAT = LabelFormat(
    name="label-studio", title="Label Studio JSON", exact=False, recognise=recognise, read=read
)
