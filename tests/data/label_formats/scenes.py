"""Three small scenes whose pixels are known by arithmetic; the samples were made of them.

Plain numpy, for the environments of label tools import this file too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

HEIGHT, WIDTH = 48, 64
CLASSES = ("background", "road", "car")
COLORS = ((10, 20, 30), (200, 60, 120), (0, 180, 90))
NUMBERS = (0, 1, 2)  # of the scenes


def shapes(number: int) -> list[tuple[str, list[tuple[float, float]]]]:
    """Names and corners of the shapes, those below first; the third makes a hole in the second."""
    left = 14 + 6 * number
    return [
        ("background", [(0, 0), (64, 0), (64, 48), (0, 48)]),
        ("road", [(0, 26), (64, 18), (64, 48), (0, 48)]),
        ("car", [(left, 10), (left + 20, 10), (left + 20, 30), (left, 30)]),
        ("background", [(left + 6, 14), (left + 12, 14), (left + 12, 20), (left + 6, 20)]),
        ("car", [(52, 36), (60, 36), (60, 44), (52, 44)]),
    ]


def truth(number: int) -> Any:  # Any: numpy of many versions
    """Class ids of a scene, (48, 64) uint8; of its slanted edge by the centers of the pixels."""
    left = 14 + 6 * number
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    mask[y > 26 - x / 8] = 1
    mask[10:30, left : left + 20] = 2
    mask[14:20, left + 6 : left + 12] = 0
    mask[36:44, 52:60] = 2
    return mask


def picture(number: int) -> Any:  # Any: as above
    """A picture of a scene, (48, 64, 3) uint8 RGB: a ramp that tells the scenes apart."""
    ramp = np.add.outer(np.arange(HEIGHT) * (number + 1), np.arange(WIDTH)) % 256
    image = np.stack([ramp, np.roll(ramp, 9 * number + 3, 1), 255 - ramp], 2)
    return np.asarray(image // 2 + np.array(COLORS)[truth(number)] // 2, np.uint8)
