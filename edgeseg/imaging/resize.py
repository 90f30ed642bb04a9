"""How frames become the graph's input and masks come back: one implementation for every use."""

from __future__ import annotations

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """(H, W, C) uint8 to `size` (height, width): by area when shrinking, which does not alias, else
    bilinear.
    """
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    resized = cv2.resize(
        image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return np.asarray(resized, np.uint8)


def resize_mask(mask: Image, size: tuple[int, int]) -> Image:
    """(H, W) class ids to `size` (height, width) by nearest neighbor."""
    if mask.shape == size:
        return mask
    return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def preprocess(image: Image, size: tuple[int, int]) -> Image:
    """A decoded frame as the graph takes it: (H, W, 3) uint8 BGR to (height, width, 3) uint8 RGB."""
    return np.asarray(cv2.cvtColor(resize_image(image, size), cv2.COLOR_BGR2RGB), np.uint8)
