"""The perceptual hash dHash, which tells near-duplicate frames.

The picture is averaged to 8 rows of 9 cells; each of the 64 bits says whether a cell is brighter
than its left neighbor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2

# gray levels; what is closer counts as equal, or the noise of flat areas would set bits at random
MARGIN = 1.0
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)
_BIT_VALUES = np.uint64(1) << np.arange(63, -1, -1, dtype=np.uint64)


def dhash(image: Image) -> int:
    """Return the hash of an image.

    It is nearly the same after scaling or JPEG, and blind to overall brightness and to fine detail.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        64 bits; those of the top row are the highest, and in a row those on the left.
    """
    height, width = image.shape[:2]
    # By a whole factor first: OpenCV averages those several times faster. At least 64 x 72 pixels
    # are left, 8 x 8 for each cell: 480 x 640 is averaged by 7 to 68 x 91.
    factor = max(1, min(height // 64, width // 72))
    rows, columns = height // factor, width // factor
    small = cv2.resize(
        image[: rows * factor, : columns * factor], (columns, rows), interpolation=cv2.INTER_AREA
    )
    cells = cv2.resize(small.astype(np.float32), (9, 8), interpolation=cv2.INTER_AREA) @ _GRAY
    bits = (cells[:, 1:] > cells[:, :-1] + MARGIN).ravel()
    return int(_BIT_VALUES[bits].sum(dtype=np.uint64))


def hamming_distance(first: int, second: int) -> int:
    """Return the number of bits in which two hashes differ, 0 to 64."""
    return (first ^ second).bit_count()


def hamming_distances(value: int, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return `hamming_distance` from one hash to many, (N,) uint64; about 0.5 ms for 50,000.

    numpy below 2.0 cannot count bits, so they are added in pairs, then in fours, then in bytes, all
    side by side in one word; the last multiplication adds the 8 bytes into the highest one. For the
    lowest byte 0b1101_0110:

        pairs   1 1 0 1 0 1 1 0  ->  10 01 01 01   (2, 1, 1, 1 bits)
        fours   10 01 01 01      ->  0011 0010     (3, 2)
        bytes   0011 0010        ->  00000101      (5)
    """
    bits = hashes ^ np.uint64(value)
    pairs = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    fours = (pairs & np.uint64(0x3333333333333333)) + (
        (pairs >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    eights = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.asarray((eights * np.uint64(0x0101010101010101)) >> np.uint64(56), np.uint64)


class HashSet:
    """A growing set of hashes, searched by distance."""

    def __init__(self, hashes: list[int]) -> None:
        self._size = len(hashes)
        self._values = np.zeros(max(1024, 2 * self._size), np.uint64)
        self._values[: self._size] = hashes

    def add(self, value: int) -> None:
        """Add a hash; the array behind the set doubles when it is full."""
        if self._size == len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
        self._values[self._size] = value
        self._size += 1

    def has_within(self, value: int, max_distance: int) -> bool:
        """Return whether the set holds a hash with at most `max_distance` different bits."""
        if not self._size:
            return False
        return int(hamming_distances(value, self._values[: self._size]).min()) <= max_distance
