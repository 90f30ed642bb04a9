"""The range of values that becomes 0 to 255 where a picture or a video has more than 8 bits.

A thermal camera's counts from 7000 to 8500 fill 1500 of the 65536 values that 16 bits can hold, and
would be six gray levels if each were divided by 256. A `DepthRange` says which values are black and
white instead; a site has one, and its bundles bring it along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Image

LEVELS = 256
ENOUGH_LEVELS = 32  # of 256; below it, "auto" takes the range that the footage uses
LOWEST, HIGHEST = 0.1, 99.9  # percentiles of the values between which the range is stretched
MARGIN = 0.25  # of that range is added below and above, for other hours and seasons
SAMPLED_VALUES = 20_000  # of each picture
BLOCK = 1 << 20  # values mapped at once, which bounds the memory for it

DeepPixels = NDArray[Any]  # Any: unsigned or signed integers, or floats


@dataclass(frozen=True)
class DepthRange:
    """Values from `low`, which becomes 0, up to but without `high`; beyond are 0 and 255.

    All 256 levels are equally wide: value v becomes floor(256 * (v - low) / (high - low)). The full
    range of 16 bits, 0 to 65536, thus gives the high byte of each value.

    Attributes:
        low: The lowest value that is told from lower ones.
        high: The first value that is too high.
        floating: Whether it is meant for floating-point pixels, such as degrees, not for counts.
    """

    low: float
    high: float
    floating: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"there is no range from {self.low} to {self.high}")

    @classmethod
    def full(cls, bits: int = 16, *, signed: bool = False) -> DepthRange:
        """Return the range of all integers of so many bits."""
        half = 1 << bits - 1
        return cls(-half, half) if signed else cls(0, 1 << bits)

    def to_8bit(self, values: DeepPixels) -> Image:
        """Map values of any shape to uint8; what is not a number becomes 0.

        Args:
            values: Integers, or floats.
        """
        if values.dtype == np.uint16:
            return np.asarray(np.take(self._table, values), np.uint8)
        mapped = np.empty(values.size, np.uint8)
        flat = values.reshape(-1)
        for start in range(0, values.size, BLOCK):
            mapped[start : start + BLOCK] = self._levels(flat[start : start + BLOCK])
        return mapped.reshape(values.shape)

    def levels_between(self, lowest: float, highest: float) -> int:
        """Return how many of the 256 levels values from `lowest` to `highest` use."""
        first, last = self._levels(np.array([lowest, highest], np.float64)).tolist()
        return int(last) - int(first) + 1

    def share_outside(self, values: DeepPixels) -> float:
        """Return the share of values that lie beyond the range, 0 to 1; what is no number does."""
        is_inside = (values >= self.low) & (values < self.high)
        return 1 - float(np.count_nonzero(is_inside)) / max(1, values.size)

    def __str__(self) -> str:
        if self.floating:
            return f"{self.low:g} to {self.high:g}"
        return f"{math.ceil(self.low)} to {math.ceil(self.high) - 1}"

    @cached_property
    def _table(self) -> Image:
        """The level of each of the 65536 values of 16 bits."""
        return self._levels(np.arange(1 << 16))

    def _levels(self, values: DeepPixels) -> Image:
        # Exact for integers of up to 32 bits: 256 times one has 40 bits, a double 53.
        scaled = (values.astype(np.float64) - self.low) * LEVELS / (self.high - self.low)
        levels = np.clip(np.nan_to_num(np.floor(scaled), nan=0.0), 0, LEVELS - 1)
        return np.asarray(levels, np.uint8)


def sample_values(values: DeepPixels, most: int = SAMPLED_VALUES) -> DeepPixels:
    """Return about `most` values of a picture of any shape, every n-th of all its channels.

    n is odd and no multiple of 3, so that no channel and, in usual widths, no column is left out.
    """
    step = max(1, values.size // most) | 1
    step = step if step % 3 else step + 2
    sampled: DeepPixels = values.reshape(-1)[::step].copy()
    return sampled


def used_range(samples: Sequence[DeepPixels]) -> tuple[float, float]:
    """Return the values between which all but the outermost of `samples` lie.

    Those are the percentiles 0.1 and 99.9, so that dead and hot pixels do not count. Values that
    are not finite are left out; (0, 0) where nothing is left.
    """
    values = np.concatenate([np.zeros(0), *(sample.reshape(-1) for sample in samples)])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 0.0
    lowest, highest = np.percentile(values, [LOWEST, HIGHEST])
    return float(lowest), float(highest)


def stretched_range(lowest: float, highest: float, container: DepthRange) -> DepthRange:
    """Return the used range, widened by a quarter of itself at both ends.

    Counts from 7000 to 8500 give a range from 6625 to 8875. Integers stay within what their
    container can hold, and a range of theirs is at least 256 wide, so that no two levels are made
    of one count.
    """
    width = highest - lowest
    if container.floating:
        width = width or max(1.0, abs(lowest))  # all alike: any width will do
        return DepthRange(lowest - MARGIN * width, highest + MARGIN * width, floating=True)
    low, high = math.floor(lowest - MARGIN * width), math.ceil(highest + MARGIN * width)
    missing = max(0, LEVELS - (high - low))
    low, high = low - missing // 2, high + missing - missing // 2
    low = max(int(container.low), min(low, int(container.high) - LEVELS))
    return DepthRange(low, min(int(container.high), max(high, low + LEVELS)))
