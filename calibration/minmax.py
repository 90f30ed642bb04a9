"""The min-max estimator: every value that was seen fits. Exact, and at the mercy of one outlier."""

from __future__ import annotations

from edgeseg.calibration.observers import Estimator


class MinMax(Estimator):
    """Range up to the largest magnitude."""

    def clip_magnitude(self, steps: int) -> float:
        """The largest magnitude, whatever the steps."""
        del steps
        return self.histogram.max_magnitude
