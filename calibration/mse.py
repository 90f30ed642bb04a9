"""The MSE estimator: the range whose codes give back the values with the least mean squared error.

A narrow range clips the largest values, a wide one makes the steps between all others coarse; the
histogram tells what either costs.
"""

from __future__ import annotations

import numpy as np

from edgeseg.calibration.observers import Estimator

CANDIDATES = 100
NARROWEST = 0.05  # of the largest magnitude


class MSE(Estimator):
    """Range of least squared error."""

    def clip_magnitude(self, steps: int) -> float:
        """The best of 100 magnitudes."""
        seen = self.histogram
        used = np.flatnonzero(seen.counts)
        values, counts = (
            np.minimum(seen.centers[used], seen.max_magnitude),
            seen.counts[used].astype(np.float64),
        )
        values[used == 0] = 0.0  # mostly the zeros behind a ReLU, which codes give back exactly
        ends = seen.max_magnitude * np.linspace(NARROWEST, 1, CANDIDATES)
        step = ends[:, None] / steps
        codes = np.minimum(np.rint(values / step), steps)
        return float(ends[int(np.argmin((values - codes * step) ** 2 @ counts))])
