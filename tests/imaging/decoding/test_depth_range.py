"""More than 8 bits become 8 by one formula, the same for every array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.imaging.decoding.depth_range import (
    DepthRange,
    sample_values,
    stretched_range,
    used_range,
)


@given(st.integers(0, 65279), st.integers(256, 65536), st.integers(0, 65535))
@settings(max_examples=200, deadline=None)
def test_the_levels_are_those_of_whole_numbers(low: int, width: int, value: int) -> None:
    depth = DepthRange(low, low + width)
    wanted = min(255, max(0, (value - low) * 256 // width))
    assert depth.to_8bit(np.array([value], np.uint16)).tolist() == [wanted]
    assert depth.to_8bit(np.array([value], np.int32)).tolist() == [wanted]


def test_the_full_range_gives_the_high_byte() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(DepthRange.full(16).to_8bit(values), values >> 8)
    twelve = values[:16]
    assert np.array_equal(DepthRange.full(12).to_8bit(twelve), twelve >> 4)
    signed = DepthRange.full(16, signed=True)
    assert signed.to_8bit(np.array([-32768, -1, 0, 32767], np.int16)).tolist() == [0, 127, 128, 255]


def test_floats_beyond_the_range_and_no_numbers() -> None:
    depth = DepthRange(-10.0, 40.0, floating=True)
    values = np.array([-np.inf, -11, -10, 15, 39.99, 40, np.inf, np.nan], np.float32)
    assert depth.to_8bit(values).tolist() == [0, 0, 0, 128, 255, 255, 255, 0]
    assert depth.share_outside(values) == 5 / 8


@pytest.mark.parametrize(("low", "high"), [(5, 5), (6, 5), (0, float("inf")), (float("nan"), 1)])
def test_what_is_no_range(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="there is no range"):
        DepthRange(low, high)


def test_dead_and_hot_pixels_do_not_count() -> None:
    values = np.concatenate([np.linspace(7000, 8500, 10_000), [0] * 5, [65535] * 5, [np.nan]])
    lowest, highest = used_range([values])
    assert 7000 <= lowest < 7010 and 8490 < highest <= 8500
    assert used_range([np.array([np.nan])]) == (0, 0)


def test_the_stretched_range_is_wider_by_a_quarter_at_both_ends() -> None:
    full = DepthRange.full(16)
    assert stretched_range(7000, 8500, full) == DepthRange(6625, 8875)
    assert stretched_range(0, 1000, full) == DepthRange(0, 1250)
    assert stretched_range(65000, 65535, full).high == 65536
    for lowest, highest in ((0, 0), (700, 701), (65535, 65535)):
        narrow = stretched_range(lowest, highest, full)
        assert narrow.high - narrow.low == 256 and narrow.low <= lowest <= highest < narrow.high
    warm = stretched_range(10, 30, DepthRange(0, 1, floating=True))
    assert warm == DepthRange(5, 35, floating=True)
    assert stretched_range(4, 4, DepthRange(0, 1, floating=True)).low < 4


def test_samples_leave_out_no_channel_and_no_column() -> None:
    height, width = 480, 640
    columns = np.broadcast_to(np.arange(width), (height, width))
    assert np.array_equal(np.unique(sample_values(columns)), np.arange(width))
    channels = np.broadcast_to(np.arange(3), (height, width, 3))
    assert np.unique(sample_values(channels), return_counts=True)[1].min() > 5000
    assert sample_values(np.arange(7)).tolist() == list(range(7))


def test_the_words_name_the_last_value_of_counts() -> None:
    assert str(DepthRange(6625, 8875)) == "6625 to 8874"
    assert str(DepthRange(5.5, 35, floating=True)) == "5.5 to 35"
