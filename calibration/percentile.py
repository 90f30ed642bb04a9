"""The percentile estimator: a range that leaves out the rarest magnitudes.

One outlier among millions of values sets a min-max range and so coarsens every other value. Leaving
out 1 in 10,000 is what NVIDIA's comparison of 2020 (Wu et al., Integer Quantization for Deep
Learning Inference) found among the best for convolutional networks.
"""

from __future__ import annotations

import numpy as np

from edgeseg.calibration.observers import Estimator, Histogram


class Percentile(Estimator):
    """Range that covers a share of the values.

    Args:
        share: of the values that must lie inside.
    """

    def __init__(self, histogram: Histogram | None = None, *, share: float = 0.9999) -> None:
        super().__init__(histogram)
        self._share = share

    def clip_magnitude(self, steps: int) -> float:
        """The end of the bin in which the share is reached, whatever the steps."""
        del steps
        seen = self.histogram
        place = int(np.searchsorted(np.cumsum(seen.counts), self._share * seen.total))
        return (place + 1) * seen.upper_edge / len(seen.counts)
