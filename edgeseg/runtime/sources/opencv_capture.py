"""Devices of the system (V4L2) and Jetson sensors (GStreamer), read through OpenCV."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2, silence_opencv
from edgeseg.imaging.video.stream_facts import LEAST_FPS, MOST_FPS

MOST_BAD_READS = 10  # in a row, after which the device is lost


class OpenCvCapture:
    """A device that OpenCV has opened.

    Attributes:
        fps: Frames a second, None if the device does not say.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        """Take over an open capture."""
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and LEAST_FPS <= fps <= MOST_FPS else None

    def read(self) -> Image | None:
        """Return the next image, (H, W, 3) uint8 RGB; None once the device is lost.

        A single frame that does not arrive whole is no loss: USB cameras drop some.
        """
        for _ in range(MOST_BAD_READS):
            done, image = self._capture.read()
            if done and image is not None:
                conversion = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
                return np.asarray(cv2.cvtColor(image, conversion), np.uint8)
        return None

    def release(self) -> None:
        """Close the device."""
        self._capture.release()


def opencv_connector(device: int | str, backend: int) -> Callable[[], OpenCvCapture | None]:
    """Return a function that opens a device or a GStreamer pipeline; it returns None on failure.

    Args:
        device: Camera number, device file or pipeline.
        backend: One of cv2.CAP_*.
    """
    silence_opencv()

    def connect() -> OpenCvCapture | None:
        capture = cv2.VideoCapture(device, backend)
        return OpenCvCapture(capture) if capture.isOpened() else None

    return connect
