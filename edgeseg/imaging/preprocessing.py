"""Pre-processing on the device: a decoded frame becomes the graph's input.

This half resizes; pixels stay uint8 RGB. The other half, normalization, is
inside the exported graph (export/graph/pre_post_processing.py).
"""

from __future__ import annotations

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.resize import resize_image


def preprocess(image: Image, size: tuple[int, int]) -> Image:
    """Turn a decoded frame into the graph's input.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: (height, width) of the graph's input.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    return np.ascontiguousarray(resize_image(image, size))
