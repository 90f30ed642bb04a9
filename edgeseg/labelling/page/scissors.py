"""Edge-following scissors: the way along edges between two pixels of a frame.

"Intelligent Scissors for Image Composition" (Mortensen and Barrett, SIGGRAPH 1995), by OpenCV.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2

REACH = 160  # pixels around the first pixel that ways are sought in
MARGIN = 48  # pixels around the other one
Point = tuple[int, int]  # x, y


class EdgeScissors:
    """The edges of one frame, and the ways from the last pixel that was asked for.

    OpenCV finds the ways from a pixel to all others, half a second for a frame of 1280x720; so it
    gets no more of the frame than a window around both pixels.
    """

    def __init__(self, rgb: Image) -> None:
        """Keep a frame.

        Args:
            rgb: (H, W, 3) uint8.

        Raises:
            DataError: This OpenCV has no scissors.
        """
        self._rgb = rgb
        self._tool = _make_tool()
        self._start: Point = (-1, -1)
        self._window = (0, 0, 0, 0)  # left, top, right, bottom of the ways that are known
        self._lock = threading.Lock()

    def contour(self, start: Point, end: Point) -> list[Point]:
        """Return the pixels from `start` to `end`, both among them, as x and y.

        Raises:
            DataError: One of them lies outside of the frame.
        """
        height, width = self._rgb.shape[:2]
        for x, y in (start, end):
            if not (0 <= x < width and 0 <= y < height):
                raise DataError(f"pixel {x}, {y} is outside of the {width}x{height} frame")
        with self._lock:
            self._find_ways(start, end)
            left, top = self._window[:2]
            points = self._tool.getContour((end[0] - left, end[1] - top)).reshape(-1, 2)
        return [(int(x) + left, int(y) + top) for x, y in points]

    def _find_ways(self, start: Point, end: Point) -> None:
        """Find the ways from `start` in a window that holds `end`, unless they are known."""
        left, top, right, bottom = self._window
        if start == self._start and left <= end[0] < right and top <= end[1] < bottom:
            return
        height, width = self._rgb.shape[:2]
        left = max(0, min(start[0] - REACH, end[0] - MARGIN))
        top = max(0, min(start[1] - REACH, end[1] - MARGIN))
        right = min(width, max(start[0] + REACH, end[0] + MARGIN))
        bottom = min(height, max(start[1] + REACH, end[1] + MARGIN))
        self._tool.applyImage(np.ascontiguousarray(self._rgb[top:bottom, left:right]))
        self._tool.buildMap((start[0] - left, start[1] - top))
        self._start, self._window = start, (left, top, right, bottom)


def _make_tool() -> Any:  # Any: OpenCV's types lack it
    try:
        tool = cv2.segmentation.IntelligentScissorsMB()
    except AttributeError:
        raise DataError(
            "this OpenCV has no scissors; install opencv-python-headless 4.12 or newer"
        ) from None
    tool.setEdgeFeatureCannyParameters(32, 100)
    tool.setGradientMagnitudeMaxLimit(200)
    return tool
