"""The three numbers fitted on val: temperature, gamma, and the score from which a frame is worth
sending home.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
SEARCH_STEPS = 60  # of the golden-section search: narrows the bracket to 1e-12 of its width
LOG_QUANTILE = 0.95
Array = NDArray[np.float32]


def fit_temperature(logits: Array, labels: NDArray[np.uint8]) -> float:
    """The temperature at which the labels are most likely (Guo et al., 2017), between 0.05 and 20.

    The likelihood is concave in the inverse temperature, so a bounded search finds its one maximum.

    Args:
        logits: (M, C).
        labels: (M,) class ids, none of them 255.
    """
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    right = np.take_along_axis(shifted, labels[:, None].astype(np.int64), 1)[:, 0]

    def loss(inverse: float) -> float:
        return float(np.mean(np.log(np.exp(shifted * inverse).sum(1)) - right * inverse))

    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    ratio = (5**0.5 - 1) / 2
    left, right_ = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right_)
    for _ in range(SEARCH_STEPS):
        if at_left <= at_right:
            high, right_, at_right = right_, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right_, at_right
            right_ = low + ratio * (high - low)
            at_right = loss(right_)
    return 2 / (low + high)


def fit_gamma(entropies: list[Array], alpha: float) -> float:
    """The entropy above which a share `alpha` of all pixels lies, exactly representable in float32.

    Args:
        entropies: (h, w) each, 0..1.
    """
    values = np.concatenate([entropy.ravel() for entropy in entropies])
    return float(np.float32(np.quantile(values, 1 - alpha, method="inverted_cdf")))


def frame_scores(entropies: list[Array], gamma: float) -> NDArray[np.float64]:
    """(frames,) share of the pixels above gamma, as the graph computes it."""
    return np.array([float(np.mean(entropy > np.float32(gamma))) for entropy in entropies])


def log_threshold(values: NDArray[np.float64]) -> float:
    """The score that 95 % of the val frames do not exceed."""
    return float(np.quantile(values, LOG_QUANTILE))
