"""The budget holds after every record, and room is made only where that helps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edgeseg.errors import FrameLogError
from edgeseg.runtime.framelog.logging_rate import HOUR_NS
from edgeseg.runtime.framelog.reader import iter_records, verify_log
from edgeseg.runtime.framelog.record_format import read_record
from tests.helpers.frame_logs import bytes_on_disk, open_log, put_noise


def test_the_budget_is_kept_after_every_record(tmp_path: Path) -> None:
    budget = 1_000_000
    with open_log(tmp_path, max_bytes=budget) as log:
        for seed in range(60):
            assert put_noise(log, seed, hour=seed / 10, side=144, score=seed % 7 / 10).exists()
            assert bytes_on_disk(tmp_path) <= budget
        assert bytes_on_disk(tmp_path) > 0.9 * budget
        assert log.counts["evicted_score"] == 60 - len(list(iter_records(tmp_path)))
    result = verify_log(tmp_path)
    assert result.bad == []
    hours = {read_record(path).header.monotonic_ns // HOUR_NS for path in iter_records(tmp_path)}
    assert hours == set(range(6))


def test_a_smaller_budget_holds_from_the_next_start(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        for seed in range(60):
            put_noise(log, seed, side=144, score=seed / 100)
    with open_log(tmp_path, max_bytes=1_000_000):
        assert bytes_on_disk(tmp_path) <= 1_000_000
    left = [read_record(path).header.score for path in iter_records(tmp_path)]
    assert min(left) == pytest.approx(0.6 - len(left) / 100)  # the lowest scores went


def test_a_record_larger_than_the_budget_evicts_nothing(tmp_path: Path) -> None:
    with open_log(tmp_path, max_bytes=1_000_000) as log:
        put_noise(log, 1)
        with pytest.raises(FrameLogError, match="larger than log"):
            put_noise(log, 2, side=1200)
        assert log.state == "full"
        assert put_noise(log, 3, hour=1).exists()
        assert log.state == "ok"
        assert len(list(iter_records(tmp_path))) == 2


def test_space_for_others_is_left_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 10_000_000
    real = os.statvfs(tmp_path)

    def statvfs(path: Any) -> os.statvfs_result:
        left = (free - bytes_on_disk(tmp_path)) // 512
        return os.statvfs_result((512, 512, real.f_blocks, left, left, *list(real)[5:]))

    monkeypatch.setattr(os, "statvfs", statvfs)
    with open_log(tmp_path, min_free_bytes=9_500_000) as log:
        for seed in range(40):
            put_noise(log, seed, side=144)
            assert bytes_on_disk(tmp_path) <= 500_000
        held = list(iter_records(tmp_path))
        free = 9_000_000  # somebody else's file: no eviction of ours could make up for it
        with pytest.raises(FrameLogError, match="volume is full"):
            put_noise(log, 41, side=144)
        assert list(iter_records(tmp_path)) == held
        free = 10_000_000
        with pytest.raises(FrameLogError):
            put_noise(log, 42, side=144, hour=9 / 3600)  # not yet tried again
        assert put_noise(log, 43, side=144, hour=10 / 3600).exists()
