"""How far a network's confidence is from its accuracy (Guo et al., 2017).

Pixels are counted in bins of equal confidence: in each, how confident the network was and how often
it was right. A reliability diagram draws both; the calibration error is their mean distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Mask

BINS = 15
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Pixels by how confident the network was of them; those of several frames can be added.

    Attributes:
        pixels: (bins,) their number; bin k of n holds confidences from k / n to (k + 1) / n.
        confidence: (bins,) the sum of their confidences.
        right: (bins,) the number of those whose class was predicted right.
    """

    pixels: Floats
    confidence: Floats
    right: Floats

    @classmethod
    def empty(cls, bins: int = BINS) -> Reliability:
        """Return the counts of no pixel."""
        return cls(*(np.zeros(bins) for _ in range(3)))

    @classmethod
    def count(cls, logits: NDArray[np.float32], labels: Mask, bins: int = BINS) -> Reliability:
        """Count pixels; those with a logit that is no number have no confidence and are left out.

        Args:
            logits: (M, C).
            labels: (M,) class ids, none of them 255.
            bins: Their number.
        """
        is_finite = np.isfinite(logits).all(1)
        if not is_finite.all():
            logits, labels = logits[is_finite], labels[is_finite]
        if not len(labels):
            return cls.empty(bins)
        exponentials = np.exp(logits - logits.max(1, keepdims=True))
        confidence = exponentials.max(1) / exponentials.sum(1)
        is_right = (logits.argmax(1) == labels).astype(np.float64)
        index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
        return cls(
            np.bincount(index, minlength=bins).astype(np.float64),
            np.bincount(index, confidence, bins).astype(np.float64),
            np.bincount(index, is_right, bins).astype(np.float64),
        )

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(
            self.pixels + other.pixels, self.confidence + other.confidence, self.right + other.right
        )

    @property
    def error(self) -> float:
        """The expected calibration error (equation 3), 0 to 1; 0 for no pixel."""
        # In a bin of n pixels, n |mean confidence - accuracy| = |sum of confidence - number right|.
        gaps = np.abs(self.confidence - self.right).sum()
        return float(gaps / max(1.0, self.pixels.sum()))

    def points(self) -> list[tuple[float, float, float]]:
        """Return (mean confidence, accuracy, share of all pixels) of each bin that has pixels."""
        used = np.flatnonzero(self.pixels)
        total = self.pixels.sum()
        return [
            (
                float(self.confidence[k] / self.pixels[k]),
                float(self.right[k] / self.pixels[k]),
                float(self.pixels[k] / total),
            )
            for k in used
        ]


def expected_calibration_error(
    logits: NDArray[np.float32], labels: Mask, bins: int = BINS
) -> float:
    """Return `Reliability.error` of pixels.

    Args:
        logits: (M, C).
        labels: (M,) class ids.
        bins: The number of bins of equal confidence.

    Returns:
        0 to 1; 0 for no pixel.
    """
    return Reliability.count(logits, labels, bins).error
