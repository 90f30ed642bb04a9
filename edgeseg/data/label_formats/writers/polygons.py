"""Masks as polygons that give the mask back: the other way round of `canvas`.

Every connected part of a class becomes one polygon around its pixels, drawn a quarter of a pixel
inside of their border, so that the centers of its own pixels lie inside and those of others do not.
Larger ones come first. What lies in a hole is painted over it by the parts that are there; a hole
with unlabelled pixels is cut out by a slit, since no shape stands for them. Corners are dropped as
long as the pixels come back: a border that moves by a third of a pixel passes no center.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.label_formats.canvas import Bits, Ring, fill_rings
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.opencv import cv2

TOLERANCES = (0.35, 0.2, 0.0)  # pixels that a border may move while corners are dropped
ENOUGH = 0.9999  # of the pixels come back
Contour = NDArray[np.int32]


@dataclass(frozen=True)
class Polygon:
    """A connected part of a class.

    Attributes:
        class_id: Its class.
        ring: (N, 2) corners as x, y; the ring touches itself where a hole was cut out.
    """

    class_id: int
    ring: Ring


@dataclass(frozen=True)
class Part:
    """A connected part of a class: (h, w) bits at column `left` and row `top`."""

    class_id: int
    left: int
    top: int
    bits: Bits


def parts_of(mask: Mask) -> Iterator[Part]:
    """Yield the parts of a mask whose pixels touch by their sides, class by class."""
    for class_id in np.unique(mask):
        if class_id == IGNORE:
            continue
        bits = np.asarray(mask == class_id, np.uint8)
        count, labels, boxes, _ = cv2.connectedComponentsWithStats(bits, connectivity=4)
        for number in range(1, count):
            left, top, width, height = (int(value) for value in boxes[number, :4])
            window = labels[top : top + height, left : left + width]
            yield Part(int(class_id), left, top, window == number)


def polygons_of(mask: Mask) -> tuple[list[Polygon], Mask]:
    """Return the polygons of a mask, those to be painted first in front, and what they give back.

    Args:
        mask: (H, W) uint8 class ids.
    """
    outlines = [_outline(part, mask) for part in parts_of(mask)]
    outlines.sort(key=lambda outline: -outline.filled)
    for tolerance in TOLERANCES:
        polygons = [Polygon(outline.class_id, _ring(outline, tolerance)) for outline in outlines]
        drawn = paint(polygons, mask.shape)
        if tolerance == 0 or np.mean(drawn == mask) >= ENOUGH:
            break
    return polygons, drawn


def paint(polygons: Sequence[Polygon], size: tuple[int, ...]) -> Mask:
    """Paint polygons in their order, (H, W) uint8, 255 where there is none."""
    mask = np.full(size, IGNORE, np.uint8)
    for polygon in polygons:
        low = np.maximum(np.floor(polygon.ring.min(0)).astype(int), 0)
        high = np.minimum(np.ceil(polygon.ring.max(0)).astype(int), size[::-1])
        width, height = (high - low).tolist()
        bits, _ = fill_rings((height, width), [polygon.ring - low])
        mask[low[1] : high[1], low[0] : high[0]][bits] = polygon.class_id
    return mask


@dataclass(frozen=True)
class _Outline:
    """Borders of a part in half pixels, as OpenCV follows them, the holes that are cut out last."""

    class_id: int
    filled: int
    left: int
    top: int
    contours: list[Contour]


def _outline(part: Part, mask: Mask) -> _Outline:
    doubled = np.repeat(np.repeat(part.bits.astype(np.uint8), 2, axis=0), 2, axis=1)
    found, order = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer = next(index for index in range(len(found)) if order[0, index, 3] < 0)
    kept = [np.asarray(found[outer], np.int32)]
    filled = np.zeros_like(doubled)
    cv2.drawContours(filled, found, outer, 1, cv2.FILLED)
    window = mask[part.top :, part.left :][: part.bits.shape[0], : part.bits.shape[1]]
    is_open = (window == IGNORE) & (filled[::2, ::2] > 0)
    if is_open.any():
        for index, contour in enumerate(found):
            if index == outer:
                continue
            hole = np.zeros_like(doubled)
            cv2.drawContours(hole, found, index, 1, cv2.FILLED)
            if (is_open & (hole[::2, ::2] > 0)).any():
                kept.append(np.asarray(contour, np.int32))
    return _Outline(part.class_id, int(filled.sum()), part.left, part.top, kept)


def _ring(outline: _Outline, tolerance: float) -> Ring:
    """Return an outline in pixels: half pixel n has its center at n / 2 + 1/4."""
    rings = []
    for contour in outline.contours:
        simple = cv2.approxPolyDP(contour, 2 * tolerance, True) if tolerance else contour
        chosen = simple if len(simple) >= 3 else contour
        ring = chosen.reshape(-1, 2) / 2 + 0.25
        rings.append(np.asarray(ring + np.array([outline.left, outline.top]), np.float64))
    ring = rings[0]
    for hole in rings[1:]:
        ring = _cut_out(ring, hole)
    return ring


def _cut_out(ring: Ring, hole: Ring) -> Ring:
    """Join a hole to the ring around it by a slit, there and back along the same line."""
    start = int(np.argmin(np.square(ring - hole[0]).sum(1)))
    return np.concatenate([ring[: start + 1], hole, hole[:1], ring[start:]])
