"""Commits records one by one within a budget, and makes room when the disk is full while logging.

A record is acknowledged once its file is synced, renamed into `ready/` and that folder is synced
too; from then on it survives a power cut. Its state is the folder that it is in; records are in the
order of (boot, seq), never of time. `log_folder` describes the folders.

Room is kept by deleting the least useful records (`eviction`): all records together stay within
log.max_bytes, and log.min_free_bytes of the volume stay free for others. Where deleting records
would not achieve that, none is deleted and `LogFullError` is raised.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

from edgeseg.atomic_files import fsync_dir
from edgeseg.config import LogConfig
from edgeseg.errors import FrameLogError
from edgeseg.runtime.framelog.eviction import EvictionOrder, RecordState
from edgeseg.runtime.framelog.log_folder import SECTOR, LogFolder, remove_empty, shard_reason

BLOCK = 4096  # bytes; a file takes up whole blocks
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # the volume is full, or the user's quota of it


class LogFullError(FrameLogError):
    """There is no room within the budget, and deleting records would not make it."""


class RecordStore:
    """The records of one folder, for the one process that holds its lock.

    Attributes:
        boot: How often a writer has started in this folder, this start included.
        used_bytes: Bytes on the disk of all records and of `bad/`.
        counts: Records deleted by reason, "evicted_<reason>", and "bad" files set aside.
    """

    def __init__(self, path: Path, config: LogConfig) -> None:
        """Tidy up the folder, take stock of its records and keep within the budget.

        Args:
            path: The folder, which must exist.
            config: The budget and the space to leave free.

        Raises:
            OSError: The disk refuses.
        """
        self.counts: Counter[str] = Counter()
        self.used_bytes = 0
        self._path = path
        self._folder = LogFolder(path, self.counts)
        self._budget = config.max_bytes
        self._min_free = config.min_free_bytes
        self._eviction_order = EvictionOrder(config.random_share)
        self._synced_shards: set[str] = set()  # shards made here, whose names are on the disk
        self._attempts = 0
        self.prepare()
        highest_boot = 0
        for state, shard, name, size in self._folder.scan():
            self._register(state, shard, name, size)
            highest_boot = max(highest_boot, int(name[:6]))
        self.boot = self._folder.next_boot(highest_boot)
        self.used_bytes += self._folder.trim_quarantine(self._budget // 100)
        while self.used_bytes > self._budget and self._eviction_order:
            self._evict()

    def prepare(self) -> None:
        """Make the folders and delete unfinished records; harmless to repeat."""
        self._folder.prepare()

    def put(self, shard: str, name: str, data: bytes, *, evict: bool = True) -> Path:
        """Write one record and return its path once it is acknowledged.

        Args:
            shard: `<boot>-<hour>-<reason>`.
            name: File name.
            data: The whole record.
            evict: Make room and try again where the disk turns out to be full.

        Raises:
            LogFullError: There is no room for it.
            OSError: The disk refused twice; no part of the record is left behind where the disk
                allows that.
        """
        needed = -(-len(data) // BLOCK) * BLOCK  # rounded up: 4097 bytes need 8192
        self._reserve(needed)
        try:
            path, size = self._write(shard, name, data)
        except OSError as error:
            # The failed file is gone and is never synced again: after an error the kernel may call
            # lost pages clean.
            if error.errno in NO_SPACE:
                if not evict:
                    raise
                self._make_room(needed)
                if self._eviction_order:
                    # One more: if inodes are what is short, a new hour's folder needs one too.
                    self._evict()
            path, size = self._write(shard, name, data)
        self._register("ready", shard, name, size)
        # The file may take up more than `needed`, on a file system with larger blocks. The last
        # record is spared: it may be the one just acknowledged.
        while self.used_bytes > self._budget and len(self._eviction_order) > 1:
            self._evict()
        return path

    def _write(self, shard: str, name: str, data: bytes) -> tuple[Path, int]:
        """Write and sync a record; return its path and its bytes on the disk.

        The order of the steps is what makes a record survive a power cut, or leave no trace.
        """
        self._attempts += 1  # a name of its own for each attempt, so that no file is synced twice
        temporary = self._path / "tmp" / f"{name}.{self._attempts}"
        target = self._path / "ready" / shard / name
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            try:
                rest = memoryview(data)
                while rest:  # a write may take a part only
                    rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
                size = os.fstat(handle).st_blocks * SECTOR
            finally:
                os.close(handle)
            if shard not in self._synced_shards:
                target.parent.mkdir(parents=True, exist_ok=True)
                fsync_dir(target.parent.parent)
                self._synced_shards.add(shard)
            os.replace(temporary, target)
            fsync_dir(target.parent)
        except OSError:
            self._synced_shards.discard(shard)
            for path in (temporary, target):
                with suppress(OSError):  # what stays costs space until the next start
                    path.unlink(missing_ok=True)
            raise
        return target, size

    def _reserve(self, needed: int) -> None:
        """Evict until `needed` more bytes fit, or nothing at all if they cannot."""
        if needed > self._budget:
            raise LogFullError(
                f"{self._path}: a record of {needed} bytes is larger than log.max_bytes; raise that"
            )
        if self.used_bytes + needed > self._budget:
            self._make_room(self.used_bytes + needed - self._budget)
        volume = os.statvfs(self._path)
        missing = self._min_free + needed - volume.f_bavail * volume.f_frsize
        if missing > 0:
            self._make_room(missing)

    def _make_room(self, amount: int) -> None:
        if amount > self.used_bytes:  # even an empty log would not make it
            raise LogFullError(
                f"{self._path} has no room: its volume is full; free some space, "
                "logging goes on by itself"
            )
        goal = self.used_bytes - amount
        while self.used_bytes > goal and self._eviction_order:
            self._evict()

    def _evict(self) -> None:
        """Delete the least useful record."""
        state, reason, record = self._eviction_order.first()
        if not _unlink(self._path / state / record.shard / record.name):
            # Another process has sent it meanwhile, or it is gone altogether.
            _unlink(self._path / "sent" / record.shard / record.name)
        if self._eviction_order.pop():
            self._synced_shards.discard(record.shard)
            remove_empty(self._path / state / record.shard)
        self.used_bytes -= record.size
        self.counts["evicted_sent" if state == "sent" else f"evicted_{reason}"] += 1

    def _register(self, state: RecordState, shard: str, name: str, size: int) -> None:
        self._eviction_order.add(state, shard_reason(shard), shard, name, size)
        self.used_bytes += size


def _unlink(path: Path) -> bool:
    """Delete a file; return whether it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
