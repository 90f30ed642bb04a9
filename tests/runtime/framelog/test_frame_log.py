"""What the frame log acknowledged is there, whole, and inference never waits for the disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import FrameLogError
from edgeseg.runtime.framelog.frame_selection import LogCandidate
from edgeseg.runtime.framelog.logging_rate import HOUR_NS
from edgeseg.runtime.framelog.reader import iter_records, verify_log
from edgeseg.runtime.framelog.record_format import read_record
from tests.helpers.frame_logs import (
    CONTROL,
    FLAGGED,
    offer_noise,
    open_log,
    put_noise,
    unfinished_records,
)


def test_a_record_is_there_once_put_returns(tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as log:
        path = put_noise(log, 1, score=0.75, hour=2)
        record = read_record(path)
        assert list(iter_records(log.folder)) == [path]
        assert unfinished_records(log.folder) == []
    header = record.header
    assert (header.boot, header.seq, header.score, header.reason, header.time) == (
        1,
        0,
        0.75,
        "score",
        1.7e9,
    )
    assert (header.device, header.camera, header.model, header.threshold) == (
        "dev",
        "cam",
        "m",
        0.3,
    )
    assert record.image().shape == (64, 64, 3)
    assert record.mask() is not None
    assert log.counts == {"score": 1}
    assert log.records_written == 1


def test_records_come_in_the_order_of_boot_and_seq_whatever_the_clock_says(tmp_path: Path) -> None:
    ids, times = [], iter([9e9, 0.0, 5e8, 4e8, 3e9, 1.0])
    for _ in range(2):
        with open_log(tmp_path, clock=lambda: next(times)) as log:
            for seed, candidate in enumerate((CONTROL, FLAGGED, LogCandidate("score", 1.0, ()))):
                ids.append(read_record(put_noise(log, seed, hour=seed, candidate=candidate)).id)
    records = [read_record(path) for path in iter_records(tmp_path)]
    assert [record.id for record in records] == ids
    assert [(record.header.boot, record.header.seq) for record in records] == [
        (b, s) for b in (1, 2) for s in (0, 1, 2)
    ]
    assert [record.header.time for record in records] == [9e9, 0.0, 5e8, 4e8, 3e9, 1.0]


def test_offered_frames_pass_the_gates_and_are_drained_at_the_end(tmp_path: Path) -> None:
    with open_log(tmp_path, random_share=0.0) as log:
        for seed in range(8):
            score = 0.9 if seed % 2 else 0.1
            offer_noise(log, seed, score=score, now_ns=seed)
    assert log.counts == {"score": 4, "below": 4}
    assert [read_record(path).header.monotonic_ns for path in iter_records(tmp_path)] == [
        1,
        3,
        5,
        7,
    ]


def test_a_stuck_disk_never_stops_inference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, free = threading.Event(), threading.Event()

    def fsync(handle: int) -> None:
        stuck.set()
        assert free.wait(30)

    with open_log(tmp_path, random_share=0.0) as log:
        monkeypatch.setattr(os, "fsync", fsync)
        offer_noise(log, 0)
        assert stuck.wait(30)
        for seed in range(1, 21):
            offer_noise(log, seed)
        assert log.counts == {"queue": 14}
        monkeypatch.setattr(log._selection, "prefilter", lambda *_: CONTROL)
        for seed in range(2):  # the control stream still finds room
            offer_noise(log, seed)
        free.set()
    assert log.counts == {"queue": 14, "score": 7, "random": 2}
    assert verify_log(tmp_path).good == 9


def test_a_picture_that_cannot_be_stored_does_not_end_the_log(tmp_path: Path) -> None:
    with open_log(tmp_path, random_share=0.0) as log:
        wrong: Any = np.ones((70, 70, 3), np.float64) * 300  # not what the contract asks for
        log.offer(
            wrong,
            camera="cam",
            score=0.9,
            mask=np.zeros((0, 5), np.uint8),
            entropy=None,
            monotonic_ns=HOUR_NS,
        )
        offer_noise(log, 1)
    assert log.counts == {"invalid": 1, "score": 1}


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        put_noise(log, 1)
        with pytest.raises(FrameLogError, match=f"{os.getpid()}"):
            open_log(tmp_path)
        assert verify_log(tmp_path).good == 1  # but reading is fine
    open_log(tmp_path).close()


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"picture")
    with pytest.raises(FrameLogError, match="choose an empty"):
        open_log(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FrameLogError, match="cannot be used"):
        open_log(tmp_path / folder)
