"""A tracker that fails, hangs or is slow costs a note and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest

from edgeseg.imaging.array_types import Image
from edgeseg.tracking import RunTrackers, background_tracker
from edgeseg.tracking.background_tracker import BackgroundTracker


class Kept:
    """A tracker that keeps everything, and does what it is told to before."""

    def __init__(self, gate: threading.Event | None = None, fails_at: int | None = None) -> None:
        self.entries: list[tuple[int, dict[str, float], list[str]]] = []
        self.closed: bool | None = None
        self._gate, self._fails_at = gate, fails_at

    def log(self, step: int, figures: Mapping[str, float], pictures: Mapping[str, Image]) -> None:
        if self._gate is not None:
            self._gate.wait()
        if step == self._fails_at:
            raise ConnectionError("the server is away\nand more")
        self.entries.append((step, dict(figures), list(pictures)))

    def close(self, *, finished: bool) -> None:
        self.closed = finished


class Told:
    """A progress reporter that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, title: str, total: int | None) -> None:
        pass

    def advance(self, amount: int = 1, note: str = "") -> None:
        pass

    def say(self, message: str) -> None:
        self.said.append(message)

    def stop(self) -> None:
        pass


def test_everything_arrives_in_order_and_numbers_that_are_none_do_not() -> None:
    kept, told = Kept(), Told()
    with RunTrackers([], [BackgroundTracker("it", lambda: kept)], told) as trackers:
        for step in (1, 2, 3):
            trackers.log(step, {"a": step, "b": float("nan"), "c": float("inf")})
        trackers.log(4, {}, {"p": np.zeros((2, 2, 3), np.uint8)})
    assert kept.entries == [(n, {"a": n}, []) for n in (1, 2, 3)] + [(4, {}, ["p"])]
    assert kept.closed is True and told.said == []


def test_what_breaks_a_training_off_is_told_to_the_tracker_and_passes_through() -> None:
    kept = Kept()
    with (
        pytest.raises(KeyboardInterrupt),
        RunTrackers([], [BackgroundTracker("it", lambda: kept)]) as trackers,
    ):
        trackers.log(1, {"a": 1.0})
        raise KeyboardInterrupt
    assert kept.closed is False and len(kept.entries) == 1


def test_a_fault_on_the_way_is_told_once_and_the_other_trackers_go_on() -> None:
    failing, kept, told = Kept(fails_at=2), Kept(), Told()
    others = [BackgroundTracker("MLflow", lambda: failing), BackgroundTracker("it", lambda: kept)]
    with RunTrackers([], others, told) as trackers:
        for step in (1, 2, 3, 4):
            trackers.log(step, {"a": 1.0})
            time.sleep(0.02)
    assert [step for step, *_ in failing.entries] == [1] and failing.closed is None
    assert [step for step, *_ in kept.entries] == [1, 2, 3, 4] and kept.closed
    assert told.said == [
        "note: MLflow failed (ConnectionError: the server is away); the training goes on without it"
    ]


def test_one_that_does_not_even_open_is_told() -> None:
    def refuse() -> Kept:
        raise SystemExit("no API key")

    told = Told()
    with RunTrackers([], [BackgroundTracker("W&B", refuse)], told) as trackers:
        trackers.log(1, {"a": 1.0})
    assert told.said == [
        "note: W&B failed (SystemExit: no API key); the training goes on without it"
    ]


def test_one_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_tracker, "CLOSING_SECONDS", 0.1)
    monkeypatch.setattr(background_tracker, "WAITING", 2)
    gate, told = threading.Event(), Told()
    kept = Kept(gate)
    began = time.monotonic()
    with RunTrackers([], [BackgroundTracker("it", lambda: kept)], told) as trackers:
        for step in range(20):
            trackers.log(step, {"a": 1.0})
    assert time.monotonic() - began < 10  # not the length of a test's patience
    assert len(told.said) == 1 and "left out" in told.said[0]
    gate.set()


def test_the_end_waits_once_for_all_and_a_quick_one_behind_a_hanging_one_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background_tracker, "CLOSING_SECONDS", 1.0)
    gate, told, quick = threading.Event(), Told(), Kept()
    hanging = [BackgroundTracker(name, partial(Kept, gate)) for name in "abcdefgh"]
    with RunTrackers([], [*hanging, BackgroundTracker("q", lambda: quick)], told) as trackers:
        trackers.log(1, {"a": 1.0})
        began = time.monotonic()
    assert 1 <= time.monotonic() - began < 6  # one after the other they take 8 seconds
    assert quick.closed is True and len(told.said) == 8
    assert all("did not write the rest in time" in note for note in told.said)
    gate.set()


class Broken(Kept):
    """A tracker whose disk is full from a step on."""

    def close(self, *, finished: bool) -> None:
        raise OSError(28, "No space left on device")


def test_a_fault_of_the_runs_own_tracker_is_told_once_and_stops_nothing() -> None:
    failing, closing, kept, told = Kept(fails_at=2), Broken(), Kept(), Told()
    with RunTrackers([failing, closing, kept], [], told) as trackers:
        for step in (1, 2, 3):
            trackers.log(step, {"a": 1.0})
    assert [step for step, *_ in kept.entries] == [1, 2, 3] and kept.closed
    assert [note.partition(";")[0] for note in told.said] == [
        "note: Kept failed (ConnectionError: the server is away)",
        "note: Broken failed (OSError: [Errno 28] No space left on device)",
    ]
