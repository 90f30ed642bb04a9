"""Only sound, new and few frames pass; the control stream knows no score and its probabilities are
true.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeseg.config import LogConfig
from edgeseg.imaging.array_types import Image
from edgeseg.runtime.framelog.frame_selection import AdmittedFrame, FrameSelection, LogCandidate
from edgeseg.runtime.framelog.logging_rate import HOUR_NS, ControlStream, HourlyQuota
from edgeseg.runtime.framelog.picture_quality import PictureQuality

SECOND = 10**9


def picture(seed: int, height: int = 48, width: int = 64) -> Image:
    """Coarse blobs: pictures of different seeds look different, also to a perceptual hash."""
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return blobs.repeat(height // 6, 0).repeat(width // 8, 1)


def selection(threshold: float = 0.3, seed: int = 0, **changes: Any) -> FrameSelection:
    return FrameSelection(LogConfig(**{"random_share": 0.0, **changes}), threshold, seed)


def run(gates: FrameSelection, image: Image, now_ns: int, score: float = 0.9) -> str:
    """Take a frame through all gates as the log does; the reason it was kept for, or why it was
    not.
    """
    candidate = gates.prefilter(image, "cam", score, now_ns)
    if isinstance(candidate, str):
        return candidate
    admitted = gates.admit(candidate, image, now_ns)
    if isinstance(admitted, str):
        return admitted
    gates.commit(admitted, now_ns)
    return candidate.reason


def test_a_bucket_gives_ten_minutes_at_once_and_then_its_rate() -> None:
    bucket = HourlyQuota(60)
    assert sum(bucket.take(0) for _ in range(100)) == 10
    assert not bucket.has(59 * SECOND)
    assert bucket.take(60 * SECOND)
    assert sum(bucket.take(10 * HOUR_NS) for _ in range(100)) == 10


def test_a_bucket_gains_nothing_from_a_clock_that_goes_back() -> None:
    bucket = HourlyQuota(60)
    while bucket.take(HOUR_NS):
        pass
    assert not any(
        bucket.take(at) for at in (0, HOUR_NS, HOUR_NS + 30 * SECOND, 0, HOUR_NS + 59 * SECOND)
    )
    assert bucket.take(HOUR_NS + 60 * SECOND)


@pytest.mark.parametrize(("per_hour", "kept"), [(0.0, 0), (0.5, 1 + 5), (1.0, 1 + 10)])
def test_small_quotas_hold_too(per_hour: float, kept: int) -> None:
    bucket = HourlyQuota(per_hour)
    assert sum(bucket.take(minute * 60 * SECOND) for minute in range(601)) == kept


def test_dark_and_bright_pictures_are_told_from_night_and_snow() -> None:
    noise = np.random.default_rng(0).integers(0, 12, (480, 640, 3), np.uint8)
    night = noise.copy()
    night[200:280, 100:300] = 90  # one lamp
    snow = 255 - night
    quality = PictureQuality()
    assert quality.flags(noise, "a", 0) == ("black",)
    assert quality.flags(255 - noise, "a", 0) == ("saturated",)
    assert quality.flags(night, "a", 0) == ()
    assert quality.flags(snow, "a", 0) == ()
    assert quality.flags(np.zeros((5, 7, 3), np.uint8), "a", 0) == ("black",)


def test_a_camera_that_repeats_one_picture_is_frozen_after_ten_seconds() -> None:
    quality, still = PictureQuality(), picture(1)
    for second in range(10):
        assert quality.flags(still, "a", second * SECOND) == ()
        assert quality.flags(picture(second), "b", second * SECOND) == ()
    assert quality.flags(still, "a", 10 * SECOND) == ("frozen",)
    assert quality.flags(picture(99), "b", 10 * SECOND) == ()
    assert quality.flags(picture(2), "a", 11 * SECOND) == ()


def test_sensor_noise_is_not_frozen() -> None:
    quality, generator = PictureQuality(), np.random.default_rng(0)
    for second in range(30):
        noisy = picture(1) // 2 + generator.integers(0, 3, (48, 64, 3), np.uint8)
        assert quality.flags(noisy, "a", second * SECOND) == ()


def test_the_score_decides() -> None:
    gates = selection(threshold=0.3)
    assert run(gates, picture(1), 0, 0.29) == "below"
    assert run(gates, picture(2), 1, 0.3) == "score"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    assert run(selection(), picture(1), 0, score) == "invalid"


def test_near_duplicates_of_kept_frames_are_refused() -> None:
    gates = selection()
    assert run(gates, picture(1), 0) == "score"
    noisy = np.clip(
        picture(1).astype(int) + np.random.default_rng(0).integers(-3, 4, (48, 64, 3)), 0, 255
    )
    assert run(gates, noisy.astype(np.uint8), 1) == "duplicate"
    assert run(gates, picture(2), 2) == "score"


def test_only_the_last_256_kept_frames_count() -> None:
    gates = selection(per_hour=6000)
    kept = [run(gates, picture(seed), seed) for seed in range(257)]
    assert kept == ["score"] * 257
    assert run(gates, picture(256), 300) == "duplicate"
    assert run(gates, picture(0), 301) == "score"


def test_a_frame_that_was_not_written_costs_nothing() -> None:
    gates = selection(per_hour=1)
    candidate = gates.prefilter(picture(1), "cam", 0.9, 0)
    assert isinstance(candidate, LogCandidate)
    admitted = gates.admit(candidate, picture(1), 0)
    assert isinstance(admitted, AdmittedFrame)  # and then the disk failed
    assert run(gates, picture(1), 1) == "score"
    assert run(gates, picture(2), 2) == "quota"


def test_every_admitted_frame_carries_its_own_hash() -> None:
    gates = selection()
    admitted = []
    for seed in (1, 2):
        candidate = gates.prefilter(picture(seed), "cam", 0.9, seed)
        assert isinstance(candidate, LogCandidate)
        admitted.append(gates.admit(candidate, picture(seed), seed))
    assert isinstance(admitted[0], AdmittedFrame)
    gates.commit(admitted[0], 3)  # the first, although the second was looked at later
    assert run(gates, picture(1), 4) == "duplicate"
    assert run(gates, picture(2), 5) == "score"


def test_one_poor_picture_an_hour_is_kept_whatever_its_score() -> None:
    gates, black = selection(), np.zeros((48, 64, 3), np.uint8)
    kept = [run(gates, black, minute * 60 * SECOND, score=0.0) for minute in range(120)]
    assert kept.count("flagged") == 2
    assert kept.count("poor") == 118


def test_a_storm_of_uncertain_frames_leaves_every_hour_its_share() -> None:
    gates = selection(per_hour=60, random_share=0.1, near_duplicate=0)
    hours = np.zeros(24, int)
    for frame in range(24 * 600):  # a day, a frame every 6 s, all of them far above the threshold
        now = frame * 6 * SECOND
        hours[now // HOUR_NS] += run(gates, picture(frame), now) in ("score", "random")
    assert hours[0] <= 75 + 10
    assert hours[1:].min() >= 50
    assert hours[1:].max() <= 75


@pytest.mark.parametrize(("fps", "hours"), [(0.02, 2000), (1.0, 40), (30.0, 1)])
def test_the_control_stream_takes_its_share_at_any_frame_rate(fps: float, hours: int) -> None:
    control = ControlStream(4.8, 0.08, seed=0)
    expected = sum(
        control.probability(int(frame * SECOND / fps)) for frame in range(int(hours * 3600 * fps))
    )
    assert expected == pytest.approx(
        4.8 * hours + 4.8, rel=0.1
    )  # and one hour's share at the start


def test_a_large_quota_does_not_make_a_short_run_all_control() -> None:
    gates = selection(per_hour=100_000, random_share=0.1, near_duplicate=0)
    kept = [run(gates, picture(frame), frame * SECOND // 30) for frame in range(600)]
    assert kept.count("score") + kept.count("random") == 600
    assert 0.05 < kept.count("random") / 600 < 0.15


def test_a_pause_of_the_camera_does_not_flood_the_control_stream() -> None:
    control = ControlStream(4.8, 0.08, seed=0)
    times = [
        *range(0, 600 * SECOND, SECOND // 10),
        *range(36_000 * SECOND, 36_060 * SECOND, SECOND // 10),
    ]
    after = [control.probability(now) for now in times][-600:]
    assert sum(after) < 0.5


def test_the_control_stream_knows_no_score() -> None:
    drawn = []
    for score in (0.0, 0.99):
        gates = selection(seed=5, random_share=0.5, per_hour=60)
        chosen = [
            gates.prefilter(picture(frame), "cam", score, frame * SECOND) for frame in range(500)
        ]
        drawn.append(
            [frame for frame, item in enumerate(chosen) if getattr(item, "reason", "") == "random"]
        )
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) > 10


def test_estimates_weighted_by_the_stored_probabilities_are_true() -> None:
    scores = np.random.default_rng(0).random(4000) ** 3
    estimates = []
    for seed in range(30):
        control, total = ControlStream(300.0, 0.5, seed), 0.0
        for frame, score in enumerate(scores):
            probability = control.probability(frame * SECOND // 5)
            total += score / probability if control.draw(probability) else 0.0
        estimates.append(total)
    error = np.std(estimates) / len(estimates) ** 0.5
    assert abs(np.mean(estimates) - scores.sum()) < 3 * error
    assert error < 0.1 * scores.sum()
