"""Only sound, new and few frames are logged, and the control stream knows no score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeseg.config import LogConfig
from edgeseg.imaging.array_types import Image
from edgeseg.runtime.framelog.frame_selection import AdmittedFrame, FrameSelection, LogCandidate
from edgeseg.runtime.framelog.logging_rate import HOUR_NS
from tests.helpers.frame_logs import blob_image

SECOND = 10**9


def make_selection(threshold: float = 0.3, seed: int = 0, **changes: Any) -> FrameSelection:
    return FrameSelection(LogConfig(**{"random_share": 0.0, **changes}), threshold, seed)


def pass_gates(selection: FrameSelection, image: Image, now_ns: int, score: float = 0.9) -> str:
    """Take a frame through all gates as the log does; return why it was logged, or why not."""
    candidate = selection.prefilter(image, "cam", score, now_ns)
    if isinstance(candidate, str):
        return candidate
    admitted = selection.admit(candidate, image, now_ns)
    if isinstance(admitted, str):
        return admitted
    selection.commit(admitted, now_ns)
    return candidate.reason


def test_the_score_decides() -> None:
    selection = make_selection(threshold=0.3)
    assert pass_gates(selection, blob_image(1), 0, 0.29) == "below"
    assert pass_gates(selection, blob_image(2), 1, 0.3) == "score"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    assert pass_gates(make_selection(), blob_image(1), 0, score) == "invalid"


def test_near_duplicates_of_kept_frames_are_refused() -> None:
    selection = make_selection()
    assert pass_gates(selection, blob_image(1), 0) == "score"
    noisy = np.clip(
        blob_image(1).astype(int) + np.random.default_rng(0).integers(-3, 4, (48, 64, 3)), 0, 255
    )
    assert pass_gates(selection, noisy.astype(np.uint8), 1) == "duplicate"
    assert pass_gates(selection, blob_image(2), 2) == "score"


def test_only_the_last_256_kept_frames_count() -> None:
    selection = make_selection(per_hour=6000)
    kept = [pass_gates(selection, blob_image(seed), seed) for seed in range(257)]
    assert kept == ["score"] * 257
    assert pass_gates(selection, blob_image(256), 300) == "duplicate"
    assert pass_gates(selection, blob_image(0), 301) == "score"


def test_a_frame_that_was_not_written_costs_nothing() -> None:
    selection = make_selection(per_hour=1)
    candidate = selection.prefilter(blob_image(1), "cam", 0.9, 0)
    assert isinstance(candidate, LogCandidate)
    admitted = selection.admit(candidate, blob_image(1), 0)
    assert isinstance(admitted, AdmittedFrame)  # and then the disk failed
    assert pass_gates(selection, blob_image(1), 1) == "score"
    assert pass_gates(selection, blob_image(2), 2) == "quota"


def test_every_admitted_frame_carries_its_own_hash() -> None:
    selection = make_selection()
    admitted = []
    for seed in (1, 2):
        candidate = selection.prefilter(blob_image(seed), "cam", 0.9, seed)
        assert isinstance(candidate, LogCandidate)
        admitted.append(selection.admit(candidate, blob_image(seed), seed))
    assert isinstance(admitted[0], AdmittedFrame)
    selection.commit(admitted[0], 3)  # the first, although the second was looked at later
    assert pass_gates(selection, blob_image(1), 4) == "duplicate"
    assert pass_gates(selection, blob_image(2), 5) == "score"


def test_one_poor_picture_an_hour_is_kept_whatever_its_score() -> None:
    selection, black = make_selection(), np.zeros((48, 64, 3), np.uint8)
    kept = [pass_gates(selection, black, minute * 60 * SECOND, score=0.0) for minute in range(120)]
    assert kept.count("flagged") == 2
    assert kept.count("poor") == 118


def test_a_storm_of_uncertain_frames_leaves_every_hour_its_share() -> None:
    selection = make_selection(per_hour=60, random_share=0.1, near_duplicate=0)
    hours = np.zeros(24, int)
    for frame in range(24 * 600):  # a day, a frame every 6 s, all of them far above the threshold
        now = frame * 6 * SECOND
        hours[now // HOUR_NS] += pass_gates(selection, blob_image(frame), now) in (
            "score",
            "random",
        )
    assert hours[0] <= 75 + 10
    assert hours[1:].min() >= 50
    assert hours[1:].max() <= 75


def test_a_large_quota_does_not_make_a_short_run_all_control() -> None:
    selection = make_selection(per_hour=100_000, random_share=0.1, near_duplicate=0)
    kept = [pass_gates(selection, blob_image(frame), frame * SECOND // 30) for frame in range(600)]
    assert kept.count("score") + kept.count("random") == 600
    assert 0.05 < kept.count("random") / 600 < 0.15


def test_the_control_stream_knows_no_score() -> None:
    drawn = []
    for score in (0.0, 0.99):
        selection = make_selection(seed=5, random_share=0.5, per_hour=60)
        candidates = [
            selection.prefilter(blob_image(frame), "cam", score, frame * SECOND)
            for frame in range(500)
        ]
        drawn.append(
            [
                frame
                for frame, item in enumerate(candidates)
                if getattr(item, "reason", "") == "random"
            ]
        )
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) > 10
