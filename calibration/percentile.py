"""The percentile estimator: a range that leaves out the rarest magnitudes.

One outlier among millions of values sets a min-max range and so coarsens every other value. Leaving
out 1 in 10,000 is what NVIDIA's comparison of 2020 (Wu et al., Integer Quantization for Deep
Learning Inference) found among the best for convolutional networks.
"""

from __future__ import annotations

import numpy as np

from edgeseg.calibration.estimator import Estimator
from edgeseg.calibration.histogram import Histogram


class Percentile(Estimator):
    """The range that covers a share of the values.

    Args:
        share: The share of the values that must lie inside.
    """

    def __init__(self, histogram: Histogram | None = None, *, share: float = 0.9999) -> None:
        super().__init__(histogram)
        self._share = share

    def clip_magnitude(self, steps: int) -> float:
        """Return the end of the bin in which the share is reached, whatever the steps."""
        del steps
        histogram = self.histogram
        covered = np.cumsum(histogram.counts)
        last_bin = int(np.searchsorted(covered, self._share * histogram.total))
        return (last_bin + 1) * histogram.upper_edge / len(histogram.counts)
