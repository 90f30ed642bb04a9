"""The MSE estimator: the range whose integers reproduce the values with the least squared error.

A narrow range clips the largest values, a wide one makes the steps between all others coarse; the
histogram tells what either costs.
"""

from __future__ import annotations

import numpy as np

from edgeseg.calibration.estimator import Estimator

CANDIDATES = 100
NARROWEST = 0.05  # of the largest magnitude


class MSE(Estimator):
    """The range of least squared error."""

    def clip_magnitude(self, steps: int) -> float:
        """Return the best of 100 magnitudes."""
        histogram = self.histogram
        used = np.flatnonzero(histogram.counts)
        counts = histogram.counts[used].astype(np.float64)
        values = np.minimum(histogram.centers[used], histogram.max_magnitude)
        values[used == 0] = 0.0  # mostly the zeros behind a ReLU, which are reproduced exactly
        candidates = histogram.max_magnitude * np.linspace(NARROWEST, 1, CANDIDATES)
        step = candidates[:, None] / steps
        integers = np.minimum(np.rint(values / step), steps)
        squared_errors = (values - integers * step) ** 2 @ counts
        return float(candidates[int(np.argmin(squared_errors))])
