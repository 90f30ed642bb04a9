"""Times rise by what the stamps tell, and go on evenly where the stamps are nonsense."""

from __future__ import annotations

import itertools
import math

import pytest

from edgeseg.imaging.video.frame_clock import FrameClock

STEP = 0.04


def times(stamps: list[float | None], *, may_jump: bool = False) -> list[float]:
    clock = FrameClock(STEP, may_jump=may_jump)
    return [clock.time(stamp) for stamp in stamps]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([5.0, 5.04, 5.08], [0, 0.04, 0.08]),
        ([-1.0, -0.96, -0.92], [0, 0.04, 0.08]),
        ([None, None, None], [0, 0.04, 0.08]),
        ([None, None, 3.0, 3.04], [0, 0.04, 0.08, 0.12]),
        ([0.0, None, 0.08], [0, 0.04, 0.08]),
        ([0.0, math.nan, 0.08], [0, 0.04, 0.08]),
        ([0.0, 0.5, 0.52, 9.0], [0, 0.5, 0.52, 9.0]),  # a rate that varies
        ([0.0, 0.04, 9999.0], [0, 0.04, 9999.0]),  # a gap is a gap
        ([100.0, 100.04, 3.0, 3.04], [0, 0.04, 0.08, 0.12]),  # recordings joined end to end
        ([0.0, 0.04, 0.03, 0.12], [0, 0.04, 0.04, 0.12]),  # one stamp out of order
        ([0.0, 0.2, 0.4, 0.0, 0.2, 0.4, 0.3, 0.5], [0, 0.2, 0.4, 0.4, 0.4, 0.4, 0.56, 0.76]),
    ],
)
def test_times_follow_sound_stamps(stamps: list[float | None], expected: list[float]) -> None:
    found = times(stamps)
    assert found == pytest.approx(expected, abs=1e-4)
    assert all(later > earlier for earlier, later in itertools.pairwise(found))


def test_a_clock_that_may_jump_is_no_gap() -> None:
    assert times([0.0, 0.04, 9999.0, 9999.04], may_jump=True) == pytest.approx(
        [0, 0.04, 0.08, 0.12]
    )
    assert times([0.0, 8.0], may_jump=True) == pytest.approx([0, 8.0])
    slow = FrameClock(250.0, may_jump=True)
    assert [slow.time(0.0), slow.time(250.0)] == [0, 250]


def test_the_time_a_frame_is_shown_counts_where_stamps_are_missing() -> None:
    clock = FrameClock(STEP)
    assert [clock.time(None), clock.time(None, 0.5), clock.time(None)] == [0, 0.5, 0.54]
