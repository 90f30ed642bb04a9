"""Reads a frame log, or a copy of one: lists, finds and verifies its records.

Safe while a writer runs: a record that is evicted between listing and reading is passed over, and
no file is ever seen half-written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.errors import FrameLogError
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.framelog.record_format import RECORD_NAME, read_header, read_record
from edgeseg.runtime.framelog.record_header import RecordHeader


@dataclass
class VerifyResult:
    """The good and the bad among the records of a log.

    Attributes:
        good: Number of records that can be used.
        bad: Path of each of the others, and a sentence on what is wrong with it.
    """

    good: int = 0
    bad: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        """A sentence for each bad record."""
        return [reason for _, reason in self.bad]

    def add_bad(self, path: Path, error: FrameLogError) -> None:
        """Note a record that cannot be used, unless it was evicted before it could be read."""
        if os.path.lexists(path):
            self.bad.append((path, str(error)))


def iter_records(folder: Path) -> Iterator[Path]:
    """Return the records of a frame log in the order of (boot, seq).

    Those that are evicted meanwhile may be gone when they are read.

    Raises:
        FrameLogError: `folder` is no frame log.
    """
    records, _ = _list_files(folder)
    # Names begin with boot and seq, both padded with zeros.
    return iter(sorted(records, key=lambda path: path.name))


def verify_log(folder: Path, report: ProgressReporter | None = None) -> VerifyResult:
    """Check every record against its digests and its name, and find files that are no records.

    Raises:
        FrameLogError: `folder` is no frame log.
    """
    records, foreign_files = _list_files(folder)
    foreign = [(path, f"{path} is no record; move it away") for path in foreign_files]
    result = VerifyResult(bad=foreign)
    report = report or NullReporter()
    report.start("Verifying records", len(records))
    for path in sorted(records, key=lambda path: path.name):
        try:
            read_record(path)
            result.good += 1
        except FrameLogError as error:
            result.add_bad(path, error)
        report.advance()
    report.stop()
    return result


def read_headers(folder: Path) -> Iterator[tuple[Path, RecordHeader | str]]:
    """Yield each record's header in order, or a sentence on why it cannot be read.

    Digests are not checked.

    Raises:
        FrameLogError: `folder` is no frame log.
    """
    for path in iter_records(folder):
        try:
            yield path, read_header(path)
        except FrameLogError as error:
            if os.path.lexists(path):  # otherwise it was evicted before it could be read
                yield path, str(error)


def find_record(folder: Path, text: str) -> Path:
    """Return the one record whose file name contains `text`.

    Raises:
        FrameLogError: There is none, or more than one.
    """
    matches = [path for path in iter_records(folder) if text in path.name]
    if len(matches) != 1:
        number = f"{len(matches)} records" if matches else "no record"
        raise FrameLogError(
            f"{folder} has {number} with {text!r} in the name; "
            f"choose one from `edgeseg log ls {folder}`"
        )
    return matches[0]


def _list_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the records, and the files among them that are none, in no order.

    No link is followed, so nothing outside the folder is ever read.
    """
    records: list[Path] = []
    foreign_files: list[Path] = []
    if not (folder / "ready").is_dir():
        raise FrameLogError(
            f"{folder} is no frame log, it has no ready/; "
            "name a folder given to `edgeseg infer --log`"
        )
    for state in ("ready", "sent"):
        for shard in _entries(folder / state):
            if not shard.is_dir(follow_symlinks=False):
                foreign_files.append(Path(shard.path))
                continue
            for file in _entries(Path(shard.path)):
                is_record = RECORD_NAME.fullmatch(file.name) and file.is_file(follow_symlinks=False)
                (records if is_record else foreign_files).append(Path(file.path))
    return records, foreign_files


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        return []  # an empty hour was removed meanwhile, or nothing was sent yet
