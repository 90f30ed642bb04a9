"""What calibration remembers of a tensor: a histogram of magnitudes, in one pass and constant
memory.

One histogram serves every range estimator and both INT8 flavours, so frames run through the network
once. Values of any number of frames take the same memory, where keeping them would take gigabytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

BINS = 2048
UINT8_STEPS, INT8_STEPS = (
    255,
    127,
)  # steps from 0 to the end of a range: of codes for values of one sign, of both


class Histogram:
    """Counts of |x| in bins of equal width from 0.

    A value beyond the last bin doubles the width by joining bins in pairs, so earlier counts stay
    exact.

    Attributes:
        counts: (bins,) int64.
        top: upper edge of the last bin; 0 before the first value that is not 0.
        lowest, highest: the exact extremes, 0 included.
    """

    def __init__(self, bins: int = BINS) -> None:
        self.counts = np.zeros(bins, np.int64)
        self.upper_edge = 0.0
        self.minimum = 0.0
        self.maximum = 0.0

    @property
    def total(self) -> int:
        """How many values were taken in."""
        return int(self.counts.sum())

    @property
    def max_magnitude(self) -> float:
        """The largest |x|."""
        return max(-self.minimum, self.maximum)

    @property
    def has_negative(self) -> bool:
        """Whether any value was below 0."""
        return self.minimum < 0

    @property
    def centers(self) -> NDArray[np.float64]:
        """(bins,) the middle of each bin."""
        return np.asarray(
            (np.arange(len(self.counts)) + 0.5) * (self.upper_edge / len(self.counts)), np.float64
        )

    def collect(self, values: NDArray[np.float32]) -> None:
        """Take in values of any shape.

        Raises:
            ValueError: some are not finite.
        """
        flat = values.ravel()
        low, high = float(flat.min(initial=0.0)), float(flat.max(initial=0.0))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("a value is not finite")
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        self._reach(max(-low, high))
        if self.upper_edge == 0.0:
            self.counts[0] += flat.size
            return
        bins = len(self.counts)
        places = np.minimum((np.abs(flat) * (bins / self.upper_edge)).astype(np.int64), bins - 1)
        self.counts += np.bincount(places, minlength=bins)

    def _reach(self, magnitude: float) -> None:
        if self.upper_edge == 0.0:
            self.upper_edge = magnitude
        while magnitude > self.upper_edge:
            joined = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.concatenate([joined, np.zeros_like(joined)])
            self.upper_edge *= 2


class Estimator(ABC):
    """Finds the range of a tensor: collect, range, reset.

    Args:
        histogram: one that other estimators read too; an own one if left out.
    """

    def __init__(self, histogram: Histogram | None = None) -> None:
        self.histogram = histogram or Histogram()

    def collect(self, values: NDArray[np.float32]) -> None:
        """Take in values of any shape.

        Raises:
            ValueError: some are not finite.
        """
        self.histogram.collect(values)

    def range(self, *, signed: bool = False) -> tuple[float, float]:
        """(low, high): low is 0 for a tensor without negative values, else -high; both are 0 if all
        values are.

        Args:
            signed: the codes are signed even where no value is negative, so that half of them go
                unused.
        """
        seen = self.histogram
        if seen.max_magnitude == 0.0:
            return 0.0, 0.0
        high = min(
            self.clip_magnitude(INT8_STEPS if signed or seen.has_negative else UINT8_STEPS),
            seen.max_magnitude,
        )
        return (-high if seen.has_negative else 0.0), high

    @abstractmethod
    def clip_magnitude(self, steps: int) -> float:
        """The magnitude up to which values get codes of their own.

        Args:
            steps: from 0 to there.
        """

    def reset(self) -> None:
        """Forget everything."""
        self.histogram = Histogram(len(self.histogram.counts))
