"""Tells black, saturated and frozen pictures, which say nothing about the scene, from sound ones.

A few hundred pixels are enough for that, and take microseconds.
"""

from __future__ import annotations

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.runtime.framelog.record_header import QualityFlag

# Pixels are sampled on a grid of about GRID x GRID.
GRID = 16
# A picture is black or saturated if at most 1 in OUTLIERS of its samples is brighter than DARK, or
# darker than BRIGHT. So a night with one lamp and snow with one post count as sound.
DARK, BRIGHT = 24, 231
OUTLIERS = 50
# A camera is frozen once all its pictures have been the same for so long. The noise of a working
# sensor changes the samples from picture to picture, even when nothing moves.
FROZEN_NS = 10_000_000_000


class PictureQuality:
    """Flags poor pictures, camera by camera."""

    def __init__(self) -> None:
        # By camera: digest of the samples of its last picture, and since when they are the same.
        self._unchanged_since: dict[str, tuple[int, int]] = {}

    def flags(self, image: Image, camera: str, now_ns: int) -> tuple[QualityFlag, ...]:
        """Return what is wrong with a picture; empty for a sound one.

        Must be shown every frame, or a frozen camera goes unnoticed.

        Args:
            image: (H, W, 3) uint8.
            camera: The name of the camera.
            now_ns: When the picture was taken, on the monotonic clock.
        """
        samples = _sample(image)
        digest = hash(samples.tobytes())
        last_digest, since = self._unchanged_since.get(camera, (None, now_ns))
        if last_digest != digest:
            since = now_ns
        self._unchanged_since[camera] = (digest, since)

        outliers = samples.size // OUTLIERS
        flags: list[QualityFlag] = []
        if np.count_nonzero(samples > DARK) <= outliers:
            flags.append("black")
        if np.count_nonzero(samples < BRIGHT) <= outliers:
            flags.append("saturated")
        if now_ns - since >= FROZEN_NS:
            flags.append("frozen")
        return tuple(flags)


def _sample(image: Image) -> Image:
    """Every n-th pixel of every n-th row, from the middle of the first cell on.

    With 480 rows the cells are 480 // 16 = 30 rows high, and the 16 rows 15, 45, ..., 465 are
    taken; with 47 rows they are 2 high, and it is the 23 rows 1, 3, ..., 45. A picture smaller
    than the grid gives all its pixels.
    """
    rows, columns = max(1, image.shape[0] // GRID), max(1, image.shape[1] // GRID)
    return image[rows // 2 :: rows, columns // 2 :: columns]
