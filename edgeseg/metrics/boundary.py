"""The pixels along class borders, where two models differ first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Mask


def near_boundary(mask: Mask, width: int = 2) -> NDArray[np.bool_]:
    """The pixels (H, W) with another class at most `width` pixels away in any direction.

    Directions are to the side, above, below and diagonal.

    Args:
        mask: (H, W) class ids.
    """
    near = np.zeros(mask.shape, bool)
    differs_below, differs_right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    near[1:] |= differs_below
    near[:-1] |= differs_below
    near[:, 1:] |= differs_right
    near[:, :-1] |= differs_right
    for _ in range(width - 1):  # grow by a pixel: first up and down, then to the sides
        grown = near.copy()
        grown[1:] |= near[:-1]
        grown[:-1] |= near[1:]
        near = grown.copy()
        near[:, 1:] |= grown[:, :-1]
        near[:, :-1] |= grown[:, 1:]
    return near
