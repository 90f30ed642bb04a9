"""A frame and a prediction made by hand, for the tests of outputs."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.sources.base import SourceFrame

QUARTERS = np.arange(4, dtype=np.uint8).reshape(2, 2).repeat(8, 0).repeat(12, 1)  # a class each


def gray_frame(number: int = 0, height: int = 120, width: int = 160) -> SourceFrame:
    """A gray frame of the camera "gate"."""
    image = np.full((height, width, 3), 128, np.uint8)
    return SourceFrame(image, number, f"{number:06d}", "gate", number / 10, time.monotonic_ns())


def quarter_prediction(mask: NDArray[np.uint8] = QUARTERS) -> Prediction:
    """A batch of one with score 0.25, in which each of four classes has a quarter of the area."""
    return Prediction(
        mask[None],
        np.zeros((1, 4, 4), np.float32),
        np.full(1, 0.25, np.float32),
        np.full((1, 4), 0.25, np.float32),
    )
