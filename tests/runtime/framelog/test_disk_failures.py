"""A disk that fails or is full costs no acknowledged record, and logging goes on by itself."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeseg.errors import FrameLogError
from edgeseg.runtime.framelog.reader import iter_records, verify_log
from tests.helpers.frame_logs import (
    bytes_on_disk,
    offer_noise,
    open_log,
    put_noise,
    unfinished_records,
)


def test_a_record_is_synced_before_its_rename_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(handle: int) -> None:
        done.append(("sync", Path(f"/proc/self/fd/{handle}").readlink().parent.name))
        fsync(handle)

    def spy_replace(source: Path, target: Path) -> None:
        done.append(("rename", Path(target).parent.parent.name))
        replace(source, target)

    with open_log(tmp_path) as log:
        put_noise(log, 1)
        monkeypatch.setattr(os, "fsync", spy_fsync)
        monkeypatch.setattr(os, "replace", spy_replace)
        put_noise(log, 2)
        monkeypatch.undo()
    assert done == [("sync", "tmp"), ("rename", "ready"), ("sync", "ready")]


class Faults:
    """Makes the n-th disk operation of the store fail, and all after it if `lasting`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.lasting, self.code, self.done = 0, False, errno.EIO, 0
        self.synced: list[str] = []
        for name in ("open", "write", "fsync", "replace", "statvfs"):
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def plan(self, at: int, code: int, *, lasting: bool) -> None:
        self.at, self.code, self.lasting, self.done = at, code, lasting, 0
        self.synced = []

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "fsync" and self.at:
                self.synced.append(str(Path(f"/proc/self/fd/{arguments[0]}").readlink()))
            self.done += 1
            if self.at and (self.done == self.at or (self.lasting and self.done > self.at)):
                raise OSError(self.code, os.strerror(self.code))
            return real(*arguments, **options)

        return call


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    yield Faults(monkeypatch)
    monkeypatch.undo()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
def test_one_fault_at_any_operation_is_overcome_or_told(
    tmp_path: Path, faults: Faults, code: int
) -> None:
    total = 0
    for at in range(1, 20):
        folder = tmp_path / str(at)
        with open_log(folder) as log:
            acknowledged = [put_noise(log, seed, side=96) for seed in range(4)]
            faults.plan(at, code, lasting=False)
            try:
                acknowledged.append(put_noise(log, 9, hour=1))
            except FrameLogError:
                assert log.state in ("full", "degraded")
            reached = faults.done >= at
            # Unfinished records end in the number of the attempt.
            files = [path for path in faults.synced if path.endswith(tuple("0123456789"))]
            assert len(files) == len(set(files))  # no file is synced twice
            faults.plan(0, code, lasting=False)
            evicted = sum(
                count for reason, count in log.counts.items() if reason.startswith("evicted")
            )
            assert unfinished_records(folder) == []
            assert sum(path.exists() for path in acknowledged) == len(acknowledged) - evicted
            assert verify_log(folder).bad == []
            assert put_noise(log, 10, hour=2).exists()
            assert log.state == "ok"
        if not reached:
            break
        total += 1
    assert total >= 6  # statvfs, open, write, fsync, replace, fsync of the folder at least


@pytest.mark.parametrize(
    ("code", "state", "wait"),
    [(errno.EIO, "degraded", 60), (errno.EROFS, "degraded", 60), (errno.ENOSPC, "full", 10)],
)
def test_lasting_faults_are_told_and_end_by_themselves(
    tmp_path: Path, faults: Faults, code: int, state: str, wait: int
) -> None:
    with open_log(tmp_path, random_share=0.0) as log:
        first = put_noise(log, 1, side=96)
        faults.plan(2, code, lasting=True)
        with pytest.raises(FrameLogError, match="goes on by itself"):
            put_noise(log, 2)
        assert log.state == state
        assert str(tmp_path) in log.problem
        faults.plan(0, code, lasting=False)
        with pytest.raises(FrameLogError):
            put_noise(log, 3, hour=(wait - 1) / 3600)
        put_noise(log, 4, hour=wait / 3600)
        assert (log.state, log.problem) == ("ok", "")
        assert first.exists() is (code != errno.ENOSPC)  # room was tried to be made, once
        assert verify_log(tmp_path).bad == []


def test_a_full_log_stops_evicting_for_nothing(tmp_path: Path, faults: Faults) -> None:
    with open_log(tmp_path) as log:
        for seed in range(6):
            put_noise(log, seed, side=96)
        faults.plan(2, errno.ENOSPC, lasting=True)
        for minute in range(10):
            with pytest.raises(FrameLogError):
                put_noise(log, 10 + minute, side=96, hour=minute / 60)
        assert len(list(iter_records(tmp_path))) == 4


def test_a_broken_disk_counts_frames_and_recovers_in_the_writer(
    tmp_path: Path, faults: Faults
) -> None:
    log = open_log(tmp_path, random_share=0.0)
    with log:
        faults.plan(1, errno.EROFS, lasting=True)
        for seed in range(3):
            offer_noise(log, seed, now_ns=seed)
        while log.counts.get("degraded", 0) < 3:
            threading.Event().wait(0.01)
        faults.plan(0, errno.EROFS, lasting=False)
        # The same picture: what was not logged makes no duplicate.
        offer_noise(log, 0, now_ns=61 * 10**9)
    assert log.counts == {"degraded": 3, "score": 1}


def test_a_folder_that_vanishes_comes_back(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        first = put_noise(log, 1)
        for path in (first, first.parent, first.parent.parent, tmp_path / "tmp"):
            path.unlink() if path.is_file() else path.rmdir()
        with pytest.raises(FrameLogError):
            put_noise(log, 2)
        assert log.state == "degraded"
        assert put_noise(log, 3, hour=1).exists()
        log._store._evict()  # the record that vanished
        assert log._store.used_bytes == bytes_on_disk(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    options = "size=4m,nr_inodes=60"
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False
        ).returncode
    ):
        pytest.skip("needs root and a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_real_full_disk(small_disk: Path) -> None:
    folder, foreign = small_disk / "log", small_disk / "foreign"
    foreign.touch()
    with open_log(folder) as log:
        for seed in range(80):  # more than fit: by bytes and by inodes
            put_noise(log, seed, side=250, hour=seed / 4)
        assert log.counts["evicted_score"] > 30
        assert log.state == "ok"
        with open(foreign, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b"x" * 4096)
        kept = 0
        for seed in range(80, 100):  # goes on within what it has
            try:
                kept += put_noise(log, seed, side=250, hour=seed / 4).exists()
            except FrameLogError:
                assert log.state == "full"
        assert kept >= 15
        foreign.write_bytes(b"")
        assert put_noise(log, 101, side=250, hour=30).exists()
        assert unfinished_records(folder) == []
        assert verify_log(folder).bad == []
