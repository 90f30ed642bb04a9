"""All formats that are read, in the order in which they are tried."""

from __future__ import annotations

from edgeseg.data.label_formats.export_files import ExportFiles
from edgeseg.data.label_formats.label_export import LabelExport, LabelFormat
from edgeseg.data.label_formats.readers import (
    cityscapes,
    coco,
    coco_panoptic,
    color_masks,
    cvat_images,
    datumaro,
    label_studio,
    labelme,
    roboflow,
    supervisely,
    yolo,
)
from edgeseg.errors import DataError

# Those whose marks are surest come first.
FORMATS: dict[str, LabelFormat] = {
    module.FORMAT.name: module.FORMAT
    for module in (
        *(cityscapes, supervisely, roboflow, cvat_images, label_studio, datumaro, coco_panoptic),
        *(coco, labelme, yolo, color_masks),
    )
}
# What a file can do that holds something else than its format says.
STRUCTURE_FAULTS = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
)


def recognise(files: ExportFiles) -> LabelFormat | None:
    """Return the format of an export, None if it is of none that is known.

    Raises:
        DataError: A file that decides cannot be read.
    """
    return next((found for found in FORMATS.values() if found.recognise(files)), None)


def read_export(files: ExportFiles, kind: LabelFormat) -> LabelExport:
    """Read an export.

    Raises:
        DataError: It is damaged, or not what it looks like.
    """
    try:
        return kind.read(files)
    except STRUCTURE_FAULTS as error:
        raise DataError(
            f"{files.origin} looks like {kind.title}, but {reason_of(error)}; export it again, or "
            "in another format"
        ) from None


def reason_of(error: Exception) -> str:
    """Return what is wrong with a file, as the end of a sentence."""
    if isinstance(error, KeyError):
        return f"lacks {error.args[0]!r} where it should be" if error.args else "lacks a value"
    if isinstance(error, ValueError) and error.args:
        return str(error.args[0])
    return "has values of the wrong kind"
