"""Exports the records of a frame log as plain images, masks and JSON, and draws overlays."""

from __future__ import annotations

import json
from pathlib import Path

from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.errors import FrameLogError
from edgeseg.imaging.array_types import Image, Mask, Palette
from edgeseg.imaging.drawing import overlay_mask, save_png
from edgeseg.imaging.image_codec import encode_png
from edgeseg.imaging.mask_png import encode_palette_png
from edgeseg.imaging.resize import resize_mask
from edgeseg.output_paths import Output, check_outputs
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.framelog.reader import VerifyResult, iter_records
from edgeseg.runtime.framelog.record_format import RECORD_SUFFIX, Record, read_record

PREDICTIONS = "predictions"  # masks as they went out, to tell what a person changed
EXPORT_FOLDERS = ("images", "masks", "entropy", "records", PREDICTIONS)


def export_records(
    folder: Path,
    output: Path,
    palette: Palette,
    report: ProgressReporter | None = None,
    *,
    keep: Path | None = None,
) -> VerifyResult:
    """Write every record as plain files that any program reads, and that `edgeseg add` takes back.

        output/images/NAME.jpg     the frame, byte for byte as it was logged
        output/masks/NAME.png      the predicted class ids at the frame's size, where logged
        output/entropy/NAME.png    the entropy at its own size, 255 = 1.0, where logged
        output/records/NAME.json   everything else
        output/predictions/NAME.png  the mask once more: a mask that still equals it when it comes
                                   back is a prediction, and no label

    Args:
        folder: The frame log.
        output: The folder to write to.
        palette: RGB of each class.
        report: Is told the progress.
        keep: A folder, the site's, that gets `predictions` too.

    Raises:
        FrameLogError: `folder` is no frame log, or `output` cannot be written.
        EdgesegError: `output` lies in the log, or is a site's own folder.
    """
    places = [output, *(output / name for name in EXPORT_FOLDERS)]
    check_outputs([Output(place, "--output", is_folder=True) for place in places], [folder])
    paths = list(iter_records(folder))
    result = VerifyResult()
    report = report or NullReporter()
    report.start("Exporting records", len(paths))
    for path in paths:
        try:
            record = read_record(path)
            record.check_image()
            mask = full_size_mask(record)
        except FrameLogError as error:
            result.add_bad(path, error)
        else:
            _export_record(record, mask, output, palette, keep)
            result.good += 1
        report.advance()
    report.stop()
    return result


def full_size_mask(record: Record) -> Mask | None:
    """Return the mask at the frame's size, (H, W) uint8; None where none was logged.

    Raises:
        FrameLogError: It cannot be decoded.
    """
    mask = record.mask()
    return None if mask is None else resize_mask(mask, (record.header.height, record.header.width))


def record_overlay(record: Record, palette: Palette) -> Image:
    """Return the frame with its mask laid over it half transparent, (H, W, 3) uint8 RGB.

    Args:
        record: The record.
        palette: RGB of each class; classes beyond it, and 255, are left as they are.

    Raises:
        FrameLogError: Image or mask cannot be decoded.
    """
    image, mask = record.image(), full_size_mask(record)
    return image if mask is None else overlay_mask(image, mask, palette)


def write_record_overlay(record: Record, palette: Palette, path: Path) -> None:
    """Write `record_overlay` as a PNG.

    Raises:
        FrameLogError: Image or mask cannot be decoded, or `path` not written.
    """
    picture = record_overlay(record, palette)
    try:
        save_png(path, picture)
    except OSError as error:
        raise _unwritable(path, error) from None


def keep_prediction(folder: Path, name: str, mask: Mask) -> None:
    """Keep a predicted mask, (H, W), in `predictions` of a folder, for the day it comes back.

    Raises:
        OSError: The disk does not take it.
    """
    write_atomic(folder / PREDICTIONS / f"{name}.png", encode_png(mask), sync=False)


def _export_record(
    record: Record, mask: Mask | None, output: Path, palette: Palette, keep: Path | None
) -> None:
    stem = record.name.removesuffix(RECORD_SUFFIX)
    metadata = {"id": record.id, **json.loads(record.header.canonical())}
    try:
        write_atomic(output / "images" / f"{stem}.jpg", record.parts["image"])
        if mask is not None:
            write_atomic(output / "masks" / f"{stem}.png", encode_palette_png(mask, palette))
            for place in filter(None, (output, keep)):
                keep_prediction(place, stem, mask)
        if "entropy" in record.parts:
            write_atomic(output / "entropy" / f"{stem}.png", record.parts["entropy"])
        write_json(output / "records" / f"{stem}.json", metadata)
    except OSError as error:
        raise _unwritable(output, error) from None


def _unwritable(path: Path, error: OSError) -> FrameLogError:
    return FrameLogError(f"{path} cannot be written ({error.strerror}); choose another --output")
