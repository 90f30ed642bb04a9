"""The entropy estimator: the range that loses the least information of a tensor's distribution.

The histogram up to a candidate magnitude, with everything beyond it in its last bin, is compared
with what is left of it when its bins are merged into one for each integer (Kullback-Leibler
divergence; Migacz, 8-bit Inference with TensorRT, GTC 2017). Made for classifiers; it clips harder
than the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.calibration.estimator import Estimator

STRIDE = 8  # bins between two candidates
FLOOR = 1e-4  # share of the quantized distribution spread over all bins, so that none is impossible


class Entropy(Estimator):
    """The range of least divergence."""

    def clip_magnitude(self, steps: int) -> float:
        """Return the best magnitude among those that end with a bin."""
        histogram = self.histogram
        counts = histogram.counts.astype(np.float64)
        counts[0] = counts[1]  # the zeros behind a ReLU are an integer of their own in any range
        used = int(np.flatnonzero(histogram.counts)[-1]) + 1
        candidates = [*range(min(steps + 1, used), used, STRIDE), used]
        divergences = [_divergence(counts, bins, steps + 1) for bins in candidates]
        best = candidates[int(np.argmin(divergences))]
        return float(best * histogram.upper_edge / len(counts))


def _divergence(counts: NDArray[np.float64], bins: int, levels: int) -> float:
    """Return KL(p || q) between a clipped distribution and its quantized version.

    p is the first `bins` bins, the last of which also holds all that lies beyond. For q these bins
    are merged into `levels` groups, and the weight of each group is spread evenly over those of its
    bins that are not empty: with 8 bins and 4 levels, counts [4, 0, 1, 3, ...] become
    [4, 0, 2, 2, ...].
    """
    clipped = counts[:bins].copy()
    clipped[-1] += counts[bins:].sum()
    filled = counts[:bins] > 0
    level = np.arange(bins) * levels // bins  # of each bin
    weight = np.bincount(level, counts[:bins], levels)
    filled_bins = np.bincount(level, filled, levels)
    spread = np.where(filled, weight[level] / np.maximum(filled_bins[level], 1), 0.0)
    if not spread.any():
        return float("inf")
    p = clipped / clipped.sum()
    q = (1 - FLOOR) * spread / spread.sum() + FLOOR / bins
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())
