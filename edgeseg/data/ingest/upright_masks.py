"""Pictures that their EXIF tag turns, and masks that were drawn before or after the turn.

Cameras store the picture as the sensor lay and note how to turn it. Most tools turn it, some
labelling tools do not: their masks fit the stored pixels. edgeseg turns pictures upright.
"""

from __future__ import annotations

import io
import warnings

import numpy as np

from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.decoding.picture import EXIF_ORIENTATION, UPRIGHT
from edgeseg.imaging.decoding.pillow import DECODE_ERRORS, PillowImage

SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange height and width


def exif_orientation(data: bytes) -> int:
    """Return the EXIF orientation of an image file, 1 to 8; 1, upright, where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = PillowImage.open(io.BytesIO(data)).getexif().get(EXIF_ORIENTATION, UPRIGHT)
    except DECODE_ERRORS:
        return UPRIGHT
    return value if value in range(UPRIGHT, 9) else UPRIGHT


def turn_mask(mask: Mask, orientation: int) -> Mask:
    """Turn a mask that was drawn on stored pixels as the EXIF orientation says.

    Orientation 6, a camera held upright, is a quarter turn clockwise: the stored rows [1 2] and
    [3 4] become [3 1] and [4 2].
    """
    # Turned by a half, then exchanged rows and columns, then mirrored: orientation 6 is
    # transposed and mirrored.
    if orientation in (3, 4, 7, 8):
        mask = mask[::-1, ::-1]
    if orientation in SIDEWAYS:
        mask = mask.T
    if orientation in (2, 4, 6, 8):
        mask = mask[:, ::-1]
    return np.ascontiguousarray(mask)
