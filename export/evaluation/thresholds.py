"""The three numbers fitted on val: temperature, gamma and the log threshold.

Temperature divides the logits before the entropy, gamma is the entropy above which a pixel counts
as unreliable, and the log threshold is the score from which a frame is worth sending home. An INT8
file gets temperature and gamma of its own (`edgeseg.export.int8_files`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
SEARCH_STEPS = 60  # of the golden-section search: narrows the bracket to 1e-12 of its width
LOG_QUANTILE = 0.95
Array = NDArray[np.float32]


def fit_temperature(logits: Array, labels: NDArray[np.uint8]) -> float:
    """Return the temperature at which the labels are most likely, between 0.05 and 20.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017. The likelihood is concave in
    the inverse temperature, so a golden-section search finds its one maximum.

    Args:
        logits: (M, C).
        labels: (M,) class ids, none of them 255.
    """
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    of_label = np.take_along_axis(shifted, labels[:, None].astype(np.int64), 1)[:, 0]

    def loss(inverse: float) -> float:
        return float(np.mean(np.log(np.exp(shifted * inverse).sum(1)) - of_label * inverse))

    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    for _ in range(SEARCH_STEPS):
        if loss_left <= loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - ratio * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + ratio * (high - low)
            loss_right = loss(right)
    return 2 / (low + high)


def fit_gamma(entropies: list[Array], alpha: float) -> float:
    """Return the entropy above which a share `alpha` of all pixels lies.

    It is exactly representable in float32, as the graph holds it.

    Args:
        entropies: (h, w) each, 0..1.
    """
    values = np.concatenate([entropy.ravel() for entropy in entropies])
    return float(np.float32(np.quantile(values, 1 - alpha, method="inverted_cdf")))


def frame_scores(entropies: list[Array], gamma: float) -> NDArray[np.float64]:
    """Return the share of pixels above gamma in each frame, (frames,), as the graph computes it."""
    return np.array([float(np.mean(entropy > np.float32(gamma))) for entropy in entropies])


def log_threshold(scores: NDArray[np.float64]) -> float:
    """Return the score that 95 % of the val frames do not exceed."""
    return float(np.quantile(scores, LOG_QUANTILE))
