"""Sectors that the disk has lost come as zeros, and the file goes on behind them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgeseg.imaging.video.recorded_video import open_recorded_video
from edgeseg.imaging.video.salvaged_file import MOST_FAILURES, SECTOR, SalvagedFile
from tests.helpers.videos import encode_video, noisy_pictures


def lose(monkeypatch: pytest.MonkeyPatch, bad: range) -> None:
    """Let reads fail that would give bytes of `bad`; reads that begin before end before it."""
    real_read = os.read

    def read(file: int, size: int) -> bytes:
        position = os.lseek(file, 0, os.SEEK_CUR)
        if position in bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real_read(file, min(size, bad.start - position) if position < bad.start else size)

    monkeypatch.setattr(os, "read", read)


def read_all(file: SalvagedFile) -> bytes:
    return b"".join(iter(lambda: file.read(10_000), b""))


def test_a_bad_sector_costs_no_more_than_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(100_000)
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    lose(monkeypatch, range(2 * SECTOR, 3 * SECTOR))
    file = SalvagedFile(path)
    assert read_all(file) == data[: 2 * SECTOR] + bytes(SECTOR) + data[3 * SECTOR :]
    assert file.lost_bytes == SECTOR
    file.close()


def test_a_long_bad_stretch_takes_few_attempts_and_an_endless_one_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    with path.open("wb") as sparse:
        sparse.truncate(1 << 30)
    lose(monkeypatch, range(0, 1 << 23))
    file = SalvagedFile(path)
    for _ in range((1 << 24) // 10_000):
        file.read(10_000)
    assert 1 << 23 <= file.lost_bytes < (1 << 23) + (1 << 20)
    file.seek(0)
    lose(monkeypatch, range(0, 1 << 30))
    with pytest.raises(OSError, match="Input/output"):
        read_all(file)
    assert file.lost_bytes < (MOST_FAILURES + 20) << 20
    file.close()


def test_other_faults_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")

    def read(file: int, size: int) -> bytes:
        raise OSError(errno.ESTALE, "stale")

    monkeypatch.setattr(os, "read", read)
    with pytest.raises(OSError, match="stale"):
        SalvagedFile(path).read(1)


def test_a_recording_goes_on_behind_a_bad_sector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_video(noisy_pictures(60, 160, 120)))
    start = path.stat().st_size // 5 // SECTOR * SECTOR
    lose(monkeypatch, range(start, start + SECTOR))
    with open_recorded_video(path) as video:
        assert sum(1 for _ in video.frames()) >= 57
        assert video.losses()
