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

MOST_SIDE = 1280  # pixels of the longer side that edges are sought at
Point = tuple[int, int]  # x, y


class EdgeScissors:
    """The edges of one frame, and the ways from the last pixel that was asked for."""

    def __init__(self, rgb: Image) -> None:
        """Find the edges of a frame.

        Args:
            rgb: (H, W, 3) uint8.

        Raises:
            DataError: This OpenCV has no scissors.
        """
        height, width = rgb.shape[:2]
        self._size = width, height
        self._scale = min(1.0, MOST_SIDE / max(width, height))
        small = cv2.resize(rgb, None, fx=self._scale, fy=self._scale, interpolation=cv2.INTER_AREA)
        self._limit = small.shape[1] - 1, small.shape[0] - 1
        self._tool = _make_tool()
        self._tool.applyImage(small)
        self._start: Point | None = None
        self._lock = threading.Lock()

    def contour(self, start: Point, end: Point) -> list[Point]:
        """Return the pixels from `start` to `end`, both among them, as x and y.

        Raises:
            DataError: One of them lies outside of the frame.
        """
        width, height = self._size
        for x, y in (start, end):
            if not (0 <= x < width and 0 <= y < height):
                raise DataError(f"pixel {x}, {y} is outside of the {width}x{height} frame")
        with self._lock:
            if start != self._start:
                self._tool.buildMap(self._scaled(start))
                self._start = start
            points = self._tool.getContour(self._scaled(end)).reshape(-1, 2)
        pixels = np.round(points / self._scale).astype(int).tolist()
        return [start, *((x, y) for x, y in pixels[1:-1]), end]

    def _scaled(self, point: Point) -> Point:
        x, y = (min(int(value * self._scale), most) for value, most in zip(point, self._limit))
        return x, y


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
