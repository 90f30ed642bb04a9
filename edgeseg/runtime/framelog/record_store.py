"""The folder of a frame log: records are committed one by one, counted against a budget, the least
useful evicted.

    .lock   held by the one process that writes
    boot    how often a writer has started; never falls
    tmp/    records being written, deleted at the next start
    ready/<boot>-<hour>-<reason>/   acknowledged records; the folder tells the hour since the start
                                    and why it was kept, so that a start reads names and sizes only
    sent/   the same, once the training site has them
    bad/    what was found among the records and is none; at most 1 % of the budget

The state of a record is its folder. It is acknowledged once its file is synced, renamed into
`ready/` and that folder is synced too. Content is never a reason to fail, links are never followed,
the order is (boot, seq), never the time.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edgeseg.atomic_files import fsync_dir, write_atomic
from edgeseg.config import LogConfig
from edgeseg.errors import FrameLogError
from edgeseg.runtime.framelog.eviction import REASONS, EvictionOrder, RecordState
from edgeseg.runtime.framelog.record_format import MAX_RECORD, RECORD_NAME

LAST_BOOT = 999_999
LAST_HOUR = 99_999
BLOCK = 4096
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
SHARD_NAME = re.compile(r"(\d{6})-(\d{5})-(score|random|flagged)", re.ASCII)


class LogFullError(FrameLogError):
    """There is no room within the budget, and evicting records would not make it."""


class RecordStore:
    """The records of one folder, for the one process that holds its lock.

    Attributes:
        used: bytes on the disk of all records and of `bad/`.
        counts: what was evicted and set aside, by reason.
    """

    def __init__(self, folder: Path, config: LogConfig) -> None:
        self._folder = folder
        self._max = config.max_bytes
        self._min_free = config.min_free_bytes
        self._eviction_order = EvictionOrder(config.random_share)
        self._made: set[str] = set()
        self._attempts = 0
        self.used_bytes = 0
        self.counts: Counter[str] = Counter()
        self.prepare()
        self.boot = self._next_boot(self._scan())
        self._bound_bad()
        while self.used_bytes > self._max and self._eviction_order:
            self._evict()

    def prepare(self) -> None:
        """Make the folders and empty `tmp/`."""
        for name in ("tmp", "ready", "sent", "bad"):
            move_aside(self._folder / name, stat.S_ISDIR)
            (self._folder / name).mkdir(exist_ok=True)
        for entry in os.scandir(self._folder / "tmp"):
            if entry.is_dir(follow_symlinks=False):
                self._to_bad(entry.path)
            else:
                Path(entry.path).unlink()
        fsync_dir(self._folder)

    def put(self, shard: str, name: str, data: bytes, *, evict: bool = True) -> Path:
        """Write one record and return its path once it is acknowledged.

        Args:
            shard: `<boot>-<hour>-<reason>`.
            evict: make room and try again where the disk turns out to be full.

        Raises:
            Full: there is no room for it.
            OSError: the disk refused twice; no part of the record is left behind where the disk
                allows that.
        """
        need = -(-len(data) // BLOCK) * BLOCK
        self._admit(need)
        try:
            path, size = self._write(shard, name, data)
        except OSError as error:
            # The failed file is gone and is never synced again: after an error the kernel may call
            # lost pages clean.
            if error.errno in NO_SPACE:
                if not evict:
                    raise
                self._make_room(need)
                if self._eviction_order:
                    # one more: if inodes are what is short, a new hour's folder needs one too
                    self._evict()
            path, size = self._write(shard, name, data)
        self._take_in("ready", shard, name, size)
        while self.used_bytes > self._max and len(self._eviction_order) > 1:
            self._evict()
        return path

    def _write(self, shard: str, name: str, data: bytes) -> tuple[Path, int]:
        self._attempts += 1
        temporary = self._folder / "tmp" / f"{name}.{self._attempts}"
        target = self._folder / "ready" / shard / name
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(handle, view) :]
                os.fsync(handle)
                size = os.fstat(handle).st_blocks * 512
            finally:
                os.close(handle)
            if shard not in self._made:
                target.parent.mkdir(parents=True, exist_ok=True)
                fsync_dir(target.parent.parent)
                self._made.add(shard)
            os.replace(temporary, target)
            fsync_dir(target.parent)
        except OSError:
            self._made.discard(shard)
            for path in (temporary, target):
                with suppress(OSError):  # what stays costs space until the next start
                    path.unlink(missing_ok=True)
            raise
        return target, size

    def _admit(self, need: int) -> None:
        """Evict until `need` more bytes fit into the budget, or nothing at all if they cannot."""
        if need > self._max:
            raise LogFullError(
                f"{self._folder}: a record of {need} bytes is larger than log.max_bytes; raise that"
            )
        if self.used_bytes + need > self._max:
            self._make_room(self.used_bytes + need - self._max)
        volume = os.statvfs(self._folder)
        missing = self._min_free + need - volume.f_bavail * volume.f_frsize
        if missing > 0:
            self._make_room(missing)

    def _make_room(self, amount: int) -> None:
        if amount > self.used_bytes:
            raise LogFullError(
                f"{self._folder} has no room: its volume is full; free some space, logging goes on by itself"
            )
        goal = self.used_bytes - amount
        while self.used_bytes > goal and self._eviction_order:
            self._evict()

    def _evict(self) -> None:
        """Delete the least useful record."""
        state, reason, entry = self._eviction_order.first()
        if not _unlink(self._folder / state / entry.shard / entry.name):
            _unlink(
                self._folder / "sent" / entry.shard / entry.name
            )  # another process has sent it meanwhile
        if self._eviction_order.pop():
            self._made.discard(entry.shard)
            _rmdir(self._folder / state / entry.shard)
        self.used_bytes -= entry.size
        self.counts["evicted_sent" if state == "sent" else f"evicted_{reason}"] += 1

    def _scan(self) -> int:
        """Take in what is there by name and size, move the rest to `bad/`; the highest boot number
        seen.
        """
        highest = 0
        states: tuple[RecordState, ...] = "ready", "sent"
        for state in states:
            for shard in list(os.scandir(self._folder / state)):
                if not SHARD_NAME.fullmatch(shard.name) or not shard.is_dir(follow_symlinks=False):
                    self._to_bad(shard.path)
                    continue
                for file in list(os.scandir(shard.path)):
                    status = file.stat(follow_symlinks=False)
                    regular = stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MAX_RECORD
                    if (
                        regular
                        and RECORD_NAME.fullmatch(file.name)
                        and file.name[:6] == shard.name[:6]
                    ):
                        self._take_in(state, shard.name, file.name, status.st_blocks * 512)
                        highest = max(highest, int(file.name[:6]))
                    else:
                        self._to_bad(file.path)
                _rmdir(Path(shard.path))
        return highest

    def _take_in(self, state: RecordState, shard: str, name: str, size: int) -> None:
        self._eviction_order.add(
            state, next(reason for reason in REASONS if shard.endswith(reason)), shard, name, size
        )
        self.used_bytes += size

    def _next_boot(self, highest: int) -> int:
        """Count this start, durably; where the counter cannot be read, the records' names tell."""
        path = self._folder / "boot"
        move_aside(path, stat.S_ISREG)
        before = highest
        if path.exists():
            with open(path, "rb") as file:
                text = file.read(16).strip()
            before = int(text) if re.fullmatch(rb"\d{1,6}", text) else highest
        boot = before % LAST_BOOT + 1
        write_atomic(path, f"{boot}\n".encode())
        return boot

    def _to_bad(self, path: str) -> None:
        try:
            os.replace(
                path, self._folder / "bad" / f"{uuid.uuid4().hex[:8]}-{Path(path).name[:100]}"
            )
        except OSError:
            return  # a mount, say: it stays and is passed over
        self.counts["bad"] += 1

    def _bound_bad(self) -> None:
        """Delete the oldest files in `bad/` beyond 1 % of the budget; folders are left for a person
        to judge.
        """
        files = []
        for entry in os.scandir(self._folder / "bad"):
            if not entry.is_dir(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                files.append((status.st_mtime_ns, entry.path, status.st_blocks * 512))
        total = sum(size for _, _, size in files)
        for _, path, size in sorted(files):
            if total <= self._max // 100:
                break
            Path(path).unlink()
            total -= size
        self.used_bytes += total


def move_aside(path: Path, wanted: Callable[[int], bool]) -> None:
    """Rename whatever stands at `path` unless its own mode, not that of a link's target, is
    `wanted`.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not wanted(mode):
        os.replace(path, path.with_name(f"{path.name}.junk-{uuid.uuid4().hex[:8]}"))


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _rmdir(path: Path) -> None:
    with suppress(OSError):  # not empty after all, or the disk fails: an empty folder does no harm
        path.rmdir()
