"""Reading a frame log, or a copy of one: list, verify and export its records; safe while a writer
runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.errors import FrameLogError
from edgeseg.imaging.array_types import Image, Mask, Palette
from edgeseg.imaging.drawing import overlay_mask, save_png
from edgeseg.imaging.mask_png import encode_palette_png
from edgeseg.imaging.resize import resize_mask
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.framelog.record_format import RECORD_NAME, Record, read_header, read_record
from edgeseg.runtime.framelog.record_header import RecordHeader


@dataclass
class VerifyResult:
    """What a check of all records found: the number of good ones, and path and reason of each bad
    one.
    """

    good: int = 0
    bad: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        """A sentence for each bad one."""
        return [why for _, why in self.bad]


def iter_records(folder: Path) -> Iterator[Path]:
    """The records of a frame log in the order (boot, seq); those evicted meanwhile may be gone when
    they are read.

    Raises:
        FrameLogError: `folder` is no frame log.
    """
    records, _ = _list(folder)
    return iter(sorted(records, key=lambda path: path.name))


def verify_log(folder: Path, report: ProgressReporter | None = None) -> VerifyResult:
    """Read every record and check it against its digests and its name; also find what is no record
    at all.

    Raises:
        FrameLogError: `folder` is no frame log.
    """
    records, strangers = _list(folder)
    result = VerifyResult(bad=[(path, f"{path} is no record; move it away") for path in strangers])
    report = report or NullReporter()
    report.start("Verifying records", len(records))
    for path in sorted(records, key=lambda path: path.name):
        try:
            read_record(path)
            result.good += 1
        except FrameLogError as error:
            if os.path.lexists(path):  # otherwise it was evicted before it could be read
                result.bad.append((path, str(error)))
        report.advance()
    report.stop()
    return result


def read_headers(folder: Path) -> Iterator[tuple[Path, RecordHeader | str]]:
    """Each record's header in order, or a sentence on why it cannot be read; digests are not
    checked.

    Raises:
        FrameLogError: `folder` is no frame log.
    """
    for path in iter_records(folder):
        try:
            yield path, read_header(path)
        except FrameLogError as error:
            if os.path.lexists(path):
                yield path, str(error)


def find_record(folder: Path, text: str) -> Path:
    """The one record whose file name contains `text`.

    Raises:
        FrameLogError: there is none, or more than one.
    """
    found = [path for path in iter_records(folder) if text in path.name]
    if len(found) != 1:
        how = f"{len(found)} records" if found else "no record"
        raise FrameLogError(
            f"{folder} has {how} with {text!r} in the name; choose one from `edgeseg log ls {folder}`"
        )
    return found[0]


def export_records(
    folder: Path, output: Path, palette: Palette, report: ProgressReporter | None = None
) -> VerifyResult:
    """Write every record as plain files that any program reads, and that `edgeseg add` takes back.

        output/images/NAME.jpg     the frame, byte for byte as it was logged
        output/masks/NAME.png      the predicted class ids at the frame's size, where logged
        output/entropy/NAME.png    the entropy at its own size, 255 = 1.0, where logged
        output/records/NAME.json   everything else

    Args:
        palette: RGB of each class.

    Raises:
        FrameLogError: `folder` is no frame log, or `output` cannot be written.
    """
    paths = list(iter_records(folder))
    result = VerifyResult()
    report = report or NullReporter()
    report.start("Exporting records", len(paths))
    for path in paths:
        try:
            record = read_record(path)
            mask = full_size_mask(record)
        except FrameLogError as error:
            if os.path.lexists(path):
                result.bad.append((path, str(error)))
        else:
            try:
                _export(record, mask, output, palette)
            except OSError as error:
                raise FrameLogError(
                    f"{output} cannot be written ({error.strerror}); choose another --output"
                ) from None
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
        palette: RGB of each class; classes beyond it, and 255, are left as they are.

    Raises:
        FrameLogError: Image or mask cannot be decoded.
    """
    image, mask = record.image(), full_size_mask(record)
    return image if mask is None else overlay_mask(image, mask, palette)


def write_overlay(record: Record, palette: Palette, path: Path) -> None:
    """Write `record_overlay` as a PNG.

    Raises:
        FrameLogError: image or mask cannot be decoded, or `path` not written.
    """
    picture = record_overlay(record, palette)
    try:
        save_png(path, picture)
    except OSError as error:
        raise FrameLogError(
            f"{path} cannot be written ({error.strerror}); choose another --output"
        ) from None


def _export(record: Record, mask: Mask | None, output: Path, palette: Palette) -> None:
    stem = record.name.removesuffix(".esr")
    write_atomic(output / "images" / f"{stem}.jpg", record.parts["image"])
    if mask is not None:
        write_atomic(output / "masks" / f"{stem}.png", encode_palette_png(mask, palette))
    if "entropy" in record.parts:
        write_atomic(output / "entropy" / f"{stem}.png", record.parts["entropy"])
    write_json(
        output / "records" / f"{stem}.json",
        {"id": record.id, **json.loads(record.header.canonical())},
    )


def _list(folder: Path) -> tuple[list[Path], list[Path]]:
    """Records and strangers among them, in no order; nothing is followed out of the folder."""
    records: list[Path] = []
    strangers: list[Path] = []
    if not (folder / "ready").is_dir():
        raise FrameLogError(
            f"{folder} is no frame log, it has no ready/; name a folder given to `edgeseg infer --log`"
        )
    for state in ("ready", "sent"):
        for shard in _entries(folder / state):
            if not shard.is_dir(follow_symlinks=False):
                strangers.append(Path(shard.path))
                continue
            for file in _entries(Path(shard.path)):
                known = RECORD_NAME.fullmatch(file.name) and file.is_file(follow_symlinks=False)
                (records if known else strangers).append(Path(file.path))
    return records, strangers


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        return []  # an empty hour is removed while we look, or nothing was sent yet
