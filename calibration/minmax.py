"""The min-max estimator: the range covers every value that was collected.

It clips nothing, and one outlier makes the steps of all other values coarse.
"""

from __future__ import annotations

from edgeseg.calibration.estimator import Estimator


class MinMax(Estimator):
    """The range up to the largest magnitude."""

    def clip_magnitude(self, steps: int) -> float:
        """Return the largest magnitude, whatever the steps."""
        del steps
        return self.histogram.max_magnitude
