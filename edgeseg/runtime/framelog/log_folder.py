"""The folders of a frame log on the disk, and how a start tidies up what a killed writer left.

    .lock   held by the one process that writes
    boot    how often a writer has started; never falls
    tmp/    records being written, deleted at the next start
    ready/<boot>-<hour>-<reason>/   acknowledged records; the folder, called a shard, tells the hour
                                    since the start and why the record was logged, so that a start
                                    reads names and sizes only
    sent/   the same, once the training site has them
    bad/    what was found among the records and is none; at most 1 % of the budget

Content is never a reason to fail, and links are never followed: a device must start whatever is on
its disk.
"""

from __future__ import annotations

import os
import re
import stat
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from edgeseg.atomic_files import fsync_dir, write_atomic
from edgeseg.runtime.framelog.eviction import LOG_REASONS, RecordState
from edgeseg.runtime.framelog.record_format import RECORD_NAME
from edgeseg.runtime.framelog.record_header import MAX_RECORD_BYTES, LogReason

LAST_BOOT = 999_999  # the counter begins again after it
LAST_HOUR = 99_999  # eleven years after a start the hours are no longer told apart
SHARD_NAME = re.compile(r"(\d{6})-(\d{5})-(score|random|flagged)", re.ASCII)
SECTOR = 512  # st_blocks counts these, whatever the block size of the file system
STATES: tuple[RecordState, ...] = ("ready", "sent")


class LogFolder:
    """The folder of one frame log, for the process that holds its lock."""

    def __init__(self, path: Path, counts: Counter[str]) -> None:
        """Note the folder; it is not touched yet.

        Args:
            path: The folder.
            counts: Files moved to `bad/` are counted here, as "bad".
        """
        self.path = path
        self._counts = counts

    def prepare(self) -> None:
        """Make the folders and empty `tmp/`."""
        for name in ("tmp", "ready", "sent", "bad"):
            move_aside(self.path / name, stat.S_ISDIR)
            (self.path / name).mkdir(exist_ok=True)
        for entry in os.scandir(self.path / "tmp"):
            if entry.is_dir(follow_symlinks=False):
                self._quarantine(entry.path)
            else:
                Path(entry.path).unlink()
        fsync_dir(self.path)

    def scan(self) -> Iterator[tuple[RecordState, str, str, int]]:
        """Find the records that are there, by name and size; move everything else to `bad/`.

        Yields:
            State, shard, file name, and bytes on the disk.
        """
        for state in STATES:
            # Listed before anything is moved: a folder must not change while it is walked.
            for shard in list(os.scandir(self.path / state)):
                if not SHARD_NAME.fullmatch(shard.name) or not shard.is_dir(follow_symlinks=False):
                    self._quarantine(shard.path)
                    continue
                for file in list(os.scandir(shard.path)):
                    status = file.stat(follow_symlinks=False)
                    if _is_record(file.name, shard.name, status):
                        yield state, shard.name, file.name, status.st_blocks * SECTOR
                    else:
                        self._quarantine(file.path)
                remove_empty(Path(shard.path))

    def next_boot(self, highest: int) -> int:
        """Count this start, durably, and return its number.

        Args:
            highest: The highest boot number in the names of the records, used where the counter
                cannot be read.
        """
        path = self.path / "boot"
        move_aside(path, stat.S_ISREG)
        last = highest
        if path.exists():
            with open(path, "rb") as file:
                text = file.read(16).strip()
            last = int(text) if re.fullmatch(rb"\d{1,6}", text) else highest
        boot = last % LAST_BOOT + 1
        write_atomic(path, f"{boot}\n".encode())
        return boot

    def trim_quarantine(self, limit: int) -> int:
        """Delete the oldest files in `bad/` until `limit` bytes are left; return how many are.

        Folders among them are left for a person to judge, and not counted.
        """
        files = []
        for entry in os.scandir(self.path / "bad"):
            if not entry.is_dir(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                files.append((status.st_mtime_ns, entry.path, status.st_blocks * SECTOR))
        total = sum(size for _, _, size in files)
        for _, path, size in sorted(files):
            if total <= limit:
                break
            Path(path).unlink()
            total -= size
        return total

    def _quarantine(self, path: str) -> None:
        # A random prefix: the same name may be moved here from many places.
        name = f"{uuid.uuid4().hex[:8]}-{Path(path).name[:100]}"
        try:
            os.replace(path, self.path / "bad" / name)
        except OSError:
            return  # a mount, say: it stays and is passed over
        self._counts["bad"] += 1


def shard_name(boot: int, hour: int, reason: LogReason) -> str:
    """Return the name of the folder for records of one hour and reason: "000001-00003-score"."""
    return f"{boot:06}-{min(LAST_HOUR, hour):05}-{reason}"


def shard_reason(shard: str) -> LogReason:
    """Return the reason in the name of a shard."""
    return next(reason for reason in LOG_REASONS if shard.endswith(reason))


def move_aside(path: Path, is_expected: Callable[[int], bool]) -> None:
    """Rename whatever stands at `path` to a name of its own unless it is of the expected kind.

    Args:
        path: Where something of another kind would be in the way.
        is_expected: Is given the mode of what stands there; of a link its own, not its target's.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not is_expected(mode):
        os.replace(path, path.with_name(f"{path.name}.junk-{uuid.uuid4().hex[:8]}"))


def remove_empty(folder: Path) -> None:
    """Remove a folder if it is empty."""
    with suppress(OSError):  # not empty after all, or the disk fails: an empty folder does no harm
        folder.rmdir()


def _is_record(name: str, shard: str, status: os.stat_result) -> bool:
    """Whether a file in a shard can be a record, by its name and size; its content is not read."""
    has_content = stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MAX_RECORD_BYTES
    return has_content and RECORD_NAME.fullmatch(name) is not None and name[:6] == shard[:6]
