"""The pixels of two frames that show the same thing, by dense optical flow.

A flow is believed where three things agree: followed there and back it ends where it began
(Sundaram et al., ECCV 2010), it stays inside the frame, and both ends look alike (structural
similarity, Wang et al., IEEE TIP 2004, which light that rises or falls does not change much).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2

Gray = NDArray[np.uint8]  # (h, w)
Flow = NDArray[np.float32]  # (h, w, 2) pixels to the right and down

MAX_SIDE = 384  # flow of larger frames is computed on smaller ones
MIN_SIDE = 16  # DIS fails on less
FLOW_ERROR, FLOW_ERROR_SHARE = 1.0, 0.05  # pixels, and part of the flow's length
SIMILARITY = 0.6
WINDOW = 11  # pixels, of the similarity
# The constants of the paper for values of 0 to 255.
BRIGHTNESS_FLOOR, CONTRAST_FLOOR = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Correspondence(NamedTuple):
    """The pixels of a frame that were found again in another one.

    Attributes:
        flow: (h, w, 2) where each pixel of the frame is in the other, relative to its own place.
        found: (h, w) bool, where that can be believed.
    """

    flow: Flow
    found: NDArray[np.bool_]


def gray_frame(image: Image) -> Gray:
    """Return an image (H, W, 3) in gray, its longer side at most `MAX_SIDE`.

    It is longer where the shorter one would have less than `MIN_SIDE`.
    """
    height, width = image.shape[:2]
    scale = min(1.0, max(MAX_SIDE / max(height, width), MIN_SIDE / min(height, width)))
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    return np.asarray(gray, np.uint8)


def find_correspondence(frame: Gray, other: Gray) -> Correspondence:
    """Find the pixels of `frame` in `other`, both (h, w) and at least `MIN_SIDE` pixels a side."""
    # One for each call: the object keeps buffers, and several threads come here.
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forth, back = _flow(search, frame, other), _flow(search, other, frame)
    x, y = _targets(forth)
    error = np.linalg.norm(forth + _look_up(back, x, y), axis=2)
    height, width = frame.shape
    found = error < FLOW_ERROR + FLOW_ERROR_SHARE * np.linalg.norm(forth, axis=2)
    found &= (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    found &= structural_similarity(frame, _look_up(other, x, y)) > SIMILARITY
    return Correspondence(forth, found)


def follow(correspondence: Correspondence, values: NDArray[np.uint8], empty: int) -> Image:
    """Bring values of the other frame to where the frame shows the same.

    Args:
        correspondence: Of the frame, (h, w), with the other.
        values: (H, W) of the other, such as a mask.
        empty: The value of pixels that were not found again.

    Returns:
        (H, W) uint8.
    """
    height, width = values.shape
    flow, found = correspondence
    if flow.shape[:2] != values.shape:
        enlargement = np.array((width / flow.shape[1], height / flow.shape[0]), np.float32)
        enlarged_flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
        flow = np.asarray(enlarged_flow * enlargement, np.float32)
        enlarged = cv2.resize(
            found.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
        found = enlarged.astype(bool)
    moved = cv2.remap(values, *_targets(flow), cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.where(found, moved, np.uint8(empty)).astype(np.uint8)


def structural_similarity(
    first: NDArray[np.uint8 | np.float32], second: NDArray[np.uint8 | np.float32]
) -> NDArray[np.float32]:
    """Return the structural similarity (h, w), -1 to 1, of windows around each pixel."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    window = (WINDOW, WINDOW)
    mean_a, mean_b = cv2.blur(a, window), cv2.blur(b, window)
    variance_a = cv2.blur(a * a, window) - mean_a**2
    variance_b = cv2.blur(b * b, window) - mean_b**2
    covariance = cv2.blur(a * b, window) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + BRIGHTNESS_FLOOR) / (
        mean_a**2 + mean_b**2 + BRIGHTNESS_FLOOR
    )
    structure = (2 * covariance + CONTRAST_FLOOR) / (variance_a + variance_b + CONTRAST_FLOOR)
    return np.asarray(brightness * structure, np.float32)


def _targets(flow: Flow) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row (h, w) in the other frame of each pixel."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _flow(search: cv2.DISOpticalFlow, frame: Gray, other: Gray) -> Flow:
    nothing: Any = None  # an array would be taken for a first guess
    flow = search.calc(frame, other, nothing)
    return np.asarray(flow, np.float32)


def _look_up(  # Any: gray values or flow
    values: NDArray[Any], x: NDArray[np.float32], y: NDArray[np.float32]
) -> NDArray[np.float32]:
    found = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)
