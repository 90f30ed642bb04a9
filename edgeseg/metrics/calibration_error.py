"""How far a network's confidence is from its accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Mask


def expected_calibration_error(logits: NDArray[np.float32], labels: Mask, bins: int = 15) -> float:
    """The gap between confidence and accuracy (Guo et al., 2017, equation 3).

    It is averaged over bins of equal confidence.

    Args:
        logits: (M, C).
        labels: (M,) class ids.

    Returns:
        0 to 1; 0 for no pixel.
    """
    if not len(labels):
        return 0.0
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    confidence = exponentials.max(1) / exponentials.sum(1)
    is_right = (logits.argmax(1) == labels).astype(np.float64)
    bin_index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    # In a bin of n pixels, n |mean confidence - accuracy| = |sum of confidence - number right|.
    gaps = np.bincount(bin_index, confidence, bins) - np.bincount(bin_index, is_right, bins)
    return float(np.abs(gaps).sum() / len(labels))
