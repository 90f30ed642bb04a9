"""The base class of range estimators: how far the integers of a tensor reach.

A new estimator is one file here with a subclass, and one line in `edgeseg.calibration.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from edgeseg.calibration.histogram import INT8_STEPS, UINT8_STEPS, Histogram


class Estimator(ABC):
    """Estimates the range of a tensor in three calls: collect, range, reset.

    Args:
        histogram: One that other estimators read too; an own one if left out.
    """

    def __init__(self, histogram: Histogram | None = None) -> None:
        self.histogram = histogram or Histogram()

    def collect(self, values: NDArray[np.float32]) -> None:
        """Count values of any shape.

        Raises:
            ValueError: Some are not finite.
        """
        self.histogram.collect(values)

    def range(self, *, signed: bool = False) -> tuple[float, float]:
        """Return (low, high): low is 0 for a tensor without negative values, else -high.

        Both are 0 if all values are.

        Args:
            signed: The integers are signed even where no value is negative, so that half of them go
                unused.
        """
        histogram = self.histogram
        if histogram.max_magnitude == 0.0:
            return 0.0, 0.0
        steps = INT8_STEPS if signed or histogram.has_negative else UINT8_STEPS
        high = min(self.clip_magnitude(steps), histogram.max_magnitude)
        return (-high if histogram.has_negative else 0.0), high

    @abstractmethod
    def clip_magnitude(self, steps: int) -> float:
        """Return the magnitude beyond which values are clipped.

        Args:
            steps: The number of quantization steps from 0 to there.
        """

    def reset(self) -> None:
        """Forget all values."""
        self.histogram = Histogram(len(self.histogram.counts))
