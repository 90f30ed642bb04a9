"""How a frame of any shape lies in the input of a network, and how results come back to it.

    stretch      the whole frame, its sides scaled apart      nothing is lost, shapes change
    letterbox    the whole frame, gray beside it              shapes stay, pixels are spent on gray
    crop         the middle of the frame fills the input      shapes stay, the rest is not seen

Training, calibration, evaluation and devices all come through here, so that a network meets the
same pixels everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.config import FitMode
from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.resize import resize_image, resize_mask

Level = TypeVar("Level", np.float32, np.uint16)  # of a map of the entropy
PADDING = 115  # the gray beside a letterboxed frame: it normalizes to about 0


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, as an array's index."""
        return (slice(self.top, self.top + self.height), slice(self.left, self.left + self.width))


@dataclass(frozen=True)
class FrameFit:
    """The place of frames of one size in an input of one size; made by `fit_frame`.

    Attributes:
        frame: (H, W) of the frame.
        size: (h, w) of the input.
        inside: The part of the input that shows the frame; padding lies around it.
        seen: The part of the frame that is shown.
    """

    frame: tuple[int, int]
    size: tuple[int, int]
    inside: Box
    seen: Box

    @property
    def pads(self) -> bool:
        """Whether a part of the input is padding."""
        return self.inside.size != self.size

    @property
    def cuts(self) -> bool:
        """Whether a part of the frame is not seen."""
        return self.seen.size != self.frame

    def image(self, image: Image) -> Image:
        """Return the input, (h, w, 3) uint8, that shows a frame, (H, W, 3) uint8."""
        part = resize_image(image[self.seen.slices], self.inside.size)
        if not self.pads:
            return part
        canvas = np.full((*self.size, image.shape[2]), PADDING, np.uint8)
        canvas[self.inside.slices] = part
        return canvas

    def mask(self, mask: Mask) -> Mask:
        """Return the labels of the input, (h, w) uint8, `IGNORE` in the padding, from (H, W)."""
        part = resize_mask(mask[self.seen.slices], self.inside.size)
        if not self.pads:
            return part
        canvas = np.full(self.size, IGNORE, np.uint8)
        canvas[self.inside.slices] = part
        return canvas

    def restore_mask(self, mask: Mask) -> Mask:
        """Return a mask of the input, (h, w), as one of the whole frame, at any scale.

        Resized to the frame's size it says the class of each pixel, `IGNORE` where the frame was
        not seen. A stretched mask is that already, a letterboxed one without its padding; what a
        crop did not see is put around it at the frame's own size.
        """
        if self.cuts:
            canvas = np.full(self.frame, IGNORE, np.uint8)
            canvas[self.seen.slices] = resize_mask(mask[self.inside.slices], self.seen.size)
            return canvas
        return mask[self.inside.slices] if self.pads else mask

    def frame_mask(self, mask: Mask) -> Mask:
        """Return a mask of the input, (h, w), at the frame's own size, (H, W)."""
        return resize_mask(self.restore_mask(mask), self.frame)

    def seen_pair(self, truth: Mask, mask: Mask) -> tuple[Mask, Mask]:
        """Return the truth of a frame, (H, W), and a mask of the input at its size, to compare.

        Both without what the input does not show, which no network can be right or wrong about.
        """
        predicted = resize_mask(mask[self.inside.slices], self.seen.size)
        return truth[self.seen.slices], predicted

    def inside_map(self, values: NDArray[Level]) -> NDArray[Level]:
        """Return the part of a map of the input, at any scale, that shows the frame.

        A cell counts to the frame when its center does: of an input of 64 rows with the frame in
        rows 14 to 49, a map of 16 rows keeps those with centers 2, 6, ..., 62 from 14 to 50, which
        are rows 3 (center 14) to 11 (center 46).
        """
        if not self.pads:
            return values
        return values[
            _cells(self.inside.top, self.inside.height, self.size[0], values.shape[0]),
            _cells(self.inside.left, self.inside.width, self.size[1], values.shape[1]),
        ]

    def restore_map(self, values: NDArray[Level]) -> NDArray[Level]:
        """Return a map of the input, at any scale, as one of the whole frame; 0 where not seen."""
        inside = self.inside_map(values)
        if not self.cuts:
            return inside
        # A map finer than the frame would make a canvas larger than it: of 16 cells for one row of
        # pixels the middle one stays.
        inside = inside[np.ix_(*map(_at_most, inside.shape, self.seen.size))]
        down, right = (shown / seen for shown, seen in zip(inside.shape, self.seen.size))
        top, left = round(self.seen.top * down), round(self.seen.left * right)
        height, width = round(self.frame[0] * down), round(self.frame[1] * right)
        canvas = np.zeros(
            (max(height, top + inside.shape[0]), max(width, left + inside.shape[1])), values.dtype
        )
        canvas[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return canvas


@lru_cache(maxsize=256)
def fit_frame(mode: FitMode, frame: tuple[int, int], size: tuple[int, int]) -> FrameFit:
    """Return how frames of a size lie in an input of a size.

    A letterboxed frame of 90 x 160 (height x width) in an input of 96 x 96 is scaled by 0.6 to
    54 x 96 and lies in rows 21 to 74; a crop of it takes the columns 35 to 124.

    Args:
        mode: See the module.
        frame: (H, W) of the frames.
        size: (h, w) of the input.
    """
    whole_frame, whole_input = Box(0, 0, *frame), Box(0, 0, *size)
    if mode == "letterbox":
        scale = min(size[0] / frame[0], size[1] / frame[1])
        sides = [min(of, max(1, round(side * scale))) for side, of in zip(frame, size)]
        return FrameFit(frame, size, _center(sides, size), whole_frame)
    if mode == "crop":
        scale = max(size[0] / frame[0], size[1] / frame[1])
        sides = [min(of, max(1, round(side / scale))) for side, of in zip(size, frame)]
        return FrameFit(frame, size, whole_input, _center(sides, frame))
    return FrameFit(frame, size, whole_input, whole_frame)


def _center(sides: list[int], around: tuple[int, int]) -> Box:
    height, width = sides
    return Box((around[0] - height) // 2, (around[1] - width) // 2, height, width)


def _cells(start: int, length: int, side: int, cells: int) -> slice:
    """Return the cells of a map whose centers lie in pixels `start` to `start + length`.

    At least one. Cell k of n over a side of s pixels has its center at (k + 0.5) s / n.
    """
    pitch = side / cells
    first = int(np.ceil(start / pitch - 0.5))
    end = int(np.ceil((start + length) / pitch - 0.5))
    first = min(max(first, 0), cells - 1)
    return slice(first, min(max(end, first + 1), cells))


def _at_most(cells: int, most: int) -> NDArray[np.intp]:
    """Return the indices of `most` cells spread over all of them, or of all where they are fewer.

    Of 16 cells and at most 2 they are 4 and 12.
    """
    number = min(cells, most)
    return ((np.arange(number) + 0.5) * cells / number).astype(np.intp)
