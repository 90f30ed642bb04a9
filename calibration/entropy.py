"""The entropy estimator: the range whose codes keep most of the information of the tensor's
distribution.

The histogram up to a candidate magnitude, with everything beyond it in its last bin, is compared
with what is left of it when its bins are merged into one for each code (Kullback-Leibler
divergence; Migacz, 8-bit Inference with TensorRT, GTC 2017). Made for classifiers; it clips harder
than the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.calibration.observers import Estimator

STRIDE = 8  # bins between two candidates
FLOOR = 1e-4  # share of a candidate's codes spread over its bins, so that no bin is impossible


class Entropy(Estimator):
    """Range of least divergence."""

    def clip_magnitude(self, steps: int) -> float:
        """The best magnitude among those that end with a bin."""
        seen = self.histogram
        counts = seen.counts.astype(np.float64)
        counts[0] = counts[1]  # the zeros behind a ReLU have a code of their own whatever the range
        last = int(np.flatnonzero(seen.counts)[-1]) + 1
        ends = [*range(min(steps + 1, last), last, STRIDE), last]
        best = ends[int(np.argmin([_divergence(counts, end, steps + 1) for end in ends]))]
        return float(best * seen.upper_edge / len(counts))


def _divergence(counts: NDArray[np.float64], end: int, codes: int) -> float:
    """Of the first `end` bins, which also stand for all beyond, from what `codes` codes make of
    them.
    """
    clipped = counts[:end].copy()
    clipped[-1] += counts[end:].sum()
    filled = counts[:end] > 0
    code = np.arange(end) * codes // end
    weight, number = np.bincount(code, counts[:end], codes), np.bincount(code, filled, codes)
    coarse = np.where(filled, weight[code] / np.maximum(number[code], 1), 0.0)
    if not coarse.any():
        return float("inf")
    p = clipped / clipped.sum()
    q = (1 - FLOOR) * coarse / coarse.sum() + FLOOR / end
    return float((p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum())
