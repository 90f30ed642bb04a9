"""Quotas hold at any rate, and the control stream's probabilities are true."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.runtime.framelog.logging_rate import HOUR_NS, ControlStream, HourlyQuota

SECOND = 10**9


def test_a_quota_gives_ten_minutes_at_once_and_then_its_rate() -> None:
    quota = HourlyQuota(60)
    assert sum(quota.take(0) for _ in range(100)) == 10
    assert not quota.has(59 * SECOND)
    assert quota.take(60 * SECOND)
    assert sum(quota.take(10 * HOUR_NS) for _ in range(100)) == 10


def test_a_quota_gains_nothing_from_a_clock_that_goes_back() -> None:
    quota = HourlyQuota(60)
    while quota.take(HOUR_NS):
        pass
    assert not any(
        quota.take(at) for at in (0, HOUR_NS, HOUR_NS + 30 * SECOND, 0, HOUR_NS + 59 * SECOND)
    )
    assert quota.take(HOUR_NS + 60 * SECOND)


@pytest.mark.parametrize(("per_hour", "kept"), [(0.0, 0), (0.5, 1 + 5), (1.0, 1 + 10)])
def test_small_quotas_hold_too(per_hour: float, kept: int) -> None:
    quota = HourlyQuota(per_hour)
    assert sum(quota.take(minute * 60 * SECOND) for minute in range(601)) == kept


@pytest.mark.parametrize(("fps", "hours"), [(0.02, 2000), (1.0, 40), (30.0, 1)])
def test_the_control_stream_takes_its_share_at_any_frame_rate(fps: float, hours: int) -> None:
    control = ControlStream(4.8, 0.08, seed=0)
    expected = sum(
        control.probability(int(frame * SECOND / fps)) for frame in range(int(hours * 3600 * fps))
    )
    assert expected == pytest.approx(
        4.8 * hours + 4.8, rel=0.1
    )  # and one hour's share at the start


def test_a_pause_of_the_camera_does_not_flood_the_control_stream() -> None:
    control = ControlStream(4.8, 0.08, seed=0)
    times = [
        *range(0, 600 * SECOND, SECOND // 10),
        *range(36_000 * SECOND, 36_060 * SECOND, SECOND // 10),
    ]
    after = [control.probability(now) for now in times][-600:]
    assert sum(after) < 0.5


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
