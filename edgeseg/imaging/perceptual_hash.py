"""The perceptual hash that tells near-duplicate frames: 64 times "is this cell brighter than its
left neighbor".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.opencv import cv2

# gray levels; what is closer counts as equal, or the noise of flat areas would set bits at random
MARGIN = 1.0
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)
_POWERS = np.uint64(1) << np.arange(63, -1, -1, dtype=np.uint64)


def dhash(image: NDArray[np.uint8]) -> int:
    """The hash of an image; nearly the same after scaling or JPEG, blind to overall brightness and
    to fine detail.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        64 bits, row by row over 8x8 neighboring cells.
    """
    height, width = image.shape[:2]
    factor = max(
        1, min(height // 64, width // 72)
    )  # a whole factor first: OpenCV averages those several times faster
    rows, columns = height // factor, width // factor
    small = cv2.resize(
        image[: rows * factor, : columns * factor], (columns, rows), interpolation=cv2.INTER_AREA
    )
    cells = cv2.resize(small.astype(np.float32), (9, 8), interpolation=cv2.INTER_AREA) @ _GRAY
    bits = (cells[:, 1:] > cells[:, :-1] + MARGIN).ravel()
    return int(_POWERS[bits].sum(dtype=np.uint64))


def hamming_distance(one: int, other: int) -> int:
    """Number of bits in which two hashes differ, 0..64."""
    return (one ^ other).bit_count()


def hamming_distances(one: int, others: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`hamming_distance` from one hash to many, (N,) uint64; about 0.5 ms for 50,000."""
    value = others ^ np.uint64(
        one
    )  # counts bits in pairs, nibbles, bytes: numpy below 2.0 has no bit count
    value = value - ((value >> np.uint64(1)) & np.uint64(0x5555555555555555))
    value = (value & np.uint64(0x3333333333333333)) + (
        (value >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.asarray((value * np.uint64(0x0101010101010101)) >> np.uint64(56), np.uint64)


class HashSet:
    """Hashes seen so far, searched by distance."""

    def __init__(self, hashes: list[int]) -> None:
        self._size = len(hashes)
        self._values = np.zeros(max(1024, 2 * self._size), np.uint64)
        self._values[: self._size] = hashes

    def add(self, value: int) -> None:
        if self._size == len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
        self._values[self._size] = value
        self._size += 1

    def has_within(self, value: int, most: int) -> bool:
        """Whether a hash with at most `most` different bits was seen."""
        return (
            bool(self._size)
            and int(hamming_distances(value, self._values[: self._size]).min()) <= most
        )
