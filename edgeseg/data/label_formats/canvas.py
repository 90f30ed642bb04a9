"""A mask on which the shapes of an image are painted.

One rule says which pixels a shape covers, whatever tool it comes from: those whose centers lie
inside. Pixel (column x, row y) spans x to x + 1 and y to y + 1, so its center is at x + 0.5,
y + 0.5. Rings of one shape count by parity, so a ring inside another is a hole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.decoding.pixel_limits import MAX_PIXELS, MAX_SIDE

Ring = NDArray[np.float64]  # (N, 2) corners as x, y
Bits = NDArray[np.bool_]
MOST_CORNERS = 2_000_000  # of one shape
MOST_SHAPES = 100_000  # of one image
MOST_SHAPE_PIXELS = 1 << 31  # in the boxes of all shapes of one image together
MOST_BITMAP_PIXELS = 1 << 35  # of all its bitmaps as they are given: a minute or two of work
MOST_CROSSINGS = 400_000_000  # of edges with rows, of one image: a minute of work
CHUNK_CROSSINGS = 4_000_000  # that are held at a time
MOST_COORDINATE = 1e6


def checked_size(height: object, width: object) -> tuple[int, int]:
    """Return a size that an export declares.

    Raises:
        ValueError: It is none, or larger than any picture that is read.
    """
    try:
        size = int(height), int(width)  # type: ignore[call-overload]  # that is what is tried
    except (TypeError, ValueError, OverflowError):
        raise ValueError("gives no size of the image") from None
    if not (
        0 < size[0] <= MAX_SIDE and 0 < size[1] <= MAX_SIDE and size[0] * size[1] <= MAX_PIXELS
    ):
        raise ValueError(f"declares an image of {size[1]}x{size[0]} pixels")
    return size


def ring_of(points: object, scale: tuple[float, float] = (1.0, 1.0)) -> Ring:
    """Return the corners of a polygon, from pairs or from x and y by turns.

    Args:
        points: [[x, y], ...] or [x, y, x, y, ...].
        scale: Factors of x and y.

    Raises:
        ValueError: They are no such points.
    """
    try:
        ring = np.asarray(points, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("has a polygon whose corners are no numbers") from None
    if ring.size > 2 * MOST_CORNERS:
        raise ValueError(f"has a polygon of more than {MOST_CORNERS} corners")
    if ring.ndim not in (1, 2) or ring.size % 2 or (ring.ndim == 2 and ring.shape[1] != 2):
        raise ValueError("has a polygon whose corners are no pairs of x and y")
    if not np.isfinite(ring).all() or (ring.size and np.abs(ring).max() > MOST_COORDINATE):
        raise ValueError("has a polygon with corners far outside of the image")
    return np.asarray(ring.reshape(-1, 2) * scale, np.float64)


class Canvas:
    """The mask of one image while shapes are painted on it.

    Shapes painted later cover those before, as tools with an order show them; with `smallest_last`
    they are painted by size instead, large ones first, for formats that have no order.
    """

    def __init__(
        self, size: tuple[int, int], classes: ClassNames, *, smallest_last: bool = False
    ) -> None:
        """Begin with a mask that is all rest."""
        self._classes, self.size = classes, size
        self._smallest_last = smallest_last
        self._shapes: list[tuple[int, int, int, Bits]] = []
        self._count = 0
        self._crossings = self._shape_pixels = self._bitmap_pixels = 0
        self._mask = np.full(size, classes.rest, np.uint8)
        self._covered = np.zeros(size, bool)

    def polygon(self, name: str, rings: Sequence[Ring]) -> None:
        """Paint a polygon; further rings are holes, or parts of their own.

        Raises:
            ValueError: The image holds too much for anyone to have drawn it.
        """
        rings = [ring for ring in rings if len(ring) >= 3]
        if not rings:
            return
        corners = np.concatenate(rings)
        left, top = np.floor(np.clip(corners.min(0), 0, self.size[::-1])).astype(int)
        right, bottom = np.ceil(np.clip(corners.max(0), 0, self.size[::-1])).astype(int)
        if right <= left or bottom <= top:
            self._count_shape()
            return
        moved = [ring - (left, top) for ring in rings]
        bits, crossings = fill_rings((int(bottom - top), int(right - left)), moved)
        self._crossings += crossings
        if self._crossings > MOST_CROSSINGS:
            raise ValueError("has more and longer outlines than anyone draws")
        self.bits(name, bits, int(left), int(top))

    def box(self, name: str, left: float, top: float, right: float, bottom: float) -> None:
        """Paint a rectangle."""
        self.polygon(
            name, [np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)]
        )

    def bits(self, name: str, bits: Bits, left: int = 0, top: int = 0) -> None:
        """Paint a bitmap, (h, w), whose corner lies at column `left` and row `top`.

        Raises:
            ValueError: There are too many shapes.
        """
        self._count_shape()
        self._bitmap_pixels += bits.size
        if self._bitmap_pixels > MOST_BITMAP_PIXELS:
            raise ValueError("has more and larger shapes than anyone draws")
        height, width = self.size
        rows = slice(max(0, -top), max(0, min(bits.shape[0], height - top)))
        columns = slice(max(0, -left), max(0, min(bits.shape[1], width - left)))
        bits = bits[rows, columns]
        set_rows = np.flatnonzero(bits.any(1))
        if not len(set_rows):
            return
        bits = bits[set_rows[0] : set_rows[-1] + 1]
        set_columns = np.flatnonzero(bits.any(0))
        bits = bits[:, set_columns[0] : set_columns[-1] + 1].copy()  # not the whole bitmap is kept
        self._shape_pixels += bits.size
        if self._shape_pixels > MOST_SHAPE_PIXELS:
            raise ValueError("has more and larger shapes than anyone draws")
        top, left = max(0, top) + int(set_rows[0]), max(0, left) + int(set_columns[0])
        shape = self._classes.id_of(name), top, left, bits
        if self._smallest_last:
            self._shapes.append(shape)
        else:
            self._paint(*shape)

    def finish(self) -> Mask:
        """Return the mask, (H, W) uint8."""
        self._shapes.sort(key=lambda shape: -int(np.count_nonzero(shape[3])))
        for shape in self._shapes:
            self._paint(*shape)
        self._shapes.clear()
        self._classes.pixels += self._mask.size
        self._classes.rest_pixels += self._mask.size - int(np.count_nonzero(self._covered))
        return self._mask

    def _paint(self, class_id: int, top: int, left: int, bits: Bits) -> None:
        window = slice(top, top + bits.shape[0]), slice(left, left + bits.shape[1])
        self._mask[window][bits] = class_id
        self._covered[window] |= bits

    def _count_shape(self) -> None:
        self._count += 1
        if self._count > MOST_SHAPES:
            raise ValueError(f"has more than {MOST_SHAPES} shapes in one image")


def fill_rings(size: tuple[int, int], rings: Sequence[Ring]) -> tuple[Bits, int]:
    """Return the pixels whose centers lie inside of an odd number of rings, (H, W).

    An edge from (0, 0) to (4, 2) crosses the centers' rows 0.5 and 1.5 at x = 1 and 3, so the
    pixels right of it begin with columns 1 and 3: ceil(x - 0.5). Every crossing flips what is right
    of it, so the parity of the crossings so far along a row says what is inside.

    Returns:
        The pixels, and how many crossings were counted.
    """
    height, width = size
    flips = np.zeros((height, width + 1), np.uint8)
    total = 0
    for ring in rings:
        start, end = ring, np.roll(ring, -1, axis=0)
        upward = start[:, 1] > end[:, 1]
        low = np.where(upward[:, None], end, start)
        high = np.where(upward[:, None], start, end)
        first = np.clip(np.ceil(low[:, 1] - 0.5), 0, height).astype(np.int64)
        last = np.clip(np.ceil(high[:, 1] - 0.5), 0, height).astype(np.int64)  # not included
        counts = np.maximum(last - first, 0)
        ring_total = int(counts.sum())
        total += ring_total
        if total > MOST_CROSSINGS:
            raise ValueError("has more and longer outlines than anyone draws")
        begin = 0
        sums = np.cumsum(counts)
        while begin < len(counts):
            done = int(sums[begin - 1]) if begin else 0
            stop = int(np.searchsorted(sums, done + CHUNK_CROSSINGS, side="right"))
            stop = max(stop, begin + 1)
            _flip(flips, low[begin:stop], high[begin:stop], first[begin:stop], counts[begin:stop])
            begin = stop
    return np.bitwise_xor.accumulate(flips[:, :width], axis=1).astype(bool), total


def _flip(
    flips: NDArray[np.uint8],
    low: Ring,
    high: Ring,
    first: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Flip, for each edge and each row that it crosses, the column right of the crossing."""
    edge = np.repeat(np.arange(len(counts)), counts)
    if not len(edge):
        return
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    slope = (high[:, 0] - low[:, 0]) / np.where(high[:, 1] > low[:, 1], high[:, 1] - low[:, 1], 1)
    x = low[edge, 0] + (row + 0.5 - low[edge, 1]) * slope[edge]
    column = np.clip(np.ceil(x - 0.5), 0, flips.shape[1] - 1).astype(np.int64)
    np.bitwise_xor.at(flips, (row, column), 1)


def fault(file: object, name: str, error: Exception) -> DataError:
    """Return the error for a label file that holds what cannot be."""
    return DataError(f"{file}: {name}: {error}; mend it in the label tool and export it again")
