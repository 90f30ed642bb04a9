"""The histogram of a tensor's magnitudes: all that calibration remembers of its values.

It is filled in one pass and takes the same memory for any number of frames, where keeping the
values would take gigabytes. One histogram serves every range estimator and both INT8 flavours, so
frames run through the network once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 2048
# quantization steps from 0 to the end of a range: of uint8 for values of one sign, of int8 for both
UINT8_STEPS, INT8_STEPS = 255, 127


class Histogram:
    """Counts of |x| in bins of equal width from 0.

    A value beyond the last bin doubles the width by joining bins in pairs, so earlier counts stay
    exact.

    Attributes:
        counts: (bins,) int64.
        upper_edge: The upper edge of the last bin; 0 before the first value that is not 0.
        minimum, maximum: The exact extremes, 0 included.
    """

    def __init__(self, bins: int = BINS) -> None:
        self.counts = np.zeros(bins, np.int64)
        self.upper_edge = 0.0
        self.minimum = 0.0
        self.maximum = 0.0

    @property
    def total(self) -> int:
        """The number of values that were collected."""
        return int(self.counts.sum())

    @property
    def max_magnitude(self) -> float:
        """The largest |x|."""
        return max(-self.minimum, self.maximum)

    @property
    def has_negative(self) -> bool:
        """True once any value was below 0."""
        return self.minimum < 0

    @property
    def centers(self) -> NDArray[np.float64]:
        """(bins,) the middle of each bin."""
        width = self.upper_edge / len(self.counts)
        return np.asarray((np.arange(len(self.counts)) + 0.5) * width, np.float64)

    def collect(self, values: NDArray[np.float32]) -> None:
        """Count values of any shape.

        Raises:
            ValueError: Some are not finite.
        """
        flat = values.ravel()
        low, high = float(flat.min(initial=0.0)), float(flat.max(initial=0.0))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("a value is not finite")
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        self._extend_to(max(-low, high))
        if self.upper_edge == 0.0:
            self.counts[0] += flat.size
            return
        bins = len(self.counts)
        bin_of_value = (np.abs(flat) * (bins / self.upper_edge)).astype(np.int64)
        self.counts += np.bincount(np.minimum(bin_of_value, bins - 1), minlength=bins)

    def _extend_to(self, magnitude: float) -> None:
        """Join bins in pairs until `magnitude` fits.

        Counts [5, 1, 2, 0] up to 4 become [6, 2, 0, 0] up to 8.
        """
        if self.upper_edge == 0.0:
            self.upper_edge = magnitude
        while magnitude > self.upper_edge:
            joined = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.concatenate([joined, np.zeros_like(joined)])
            self.upper_edge *= 2
