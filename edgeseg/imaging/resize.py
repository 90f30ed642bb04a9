"""Sizes of frames and masks: one implementation for training, export and devices."""

from __future__ import annotations

import numpy as np

from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.opencv import cv2


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """Resize (H, W, C) uint8 to `size` (height, width).

    Pixels are averaged over areas when the image shrinks in both directions, which does not alias,
    else interpolated bilinearly.
    """
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=interpolation), np.uint8)


def resize_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """Resize (H, W) class ids to `size` (height, width) by nearest neighbor.

    A pixel takes the id under its own center. OpenCV's INTER_NEAREST takes the one under its top
    left corner instead, which moves class borders: from 3 to 4 columns the centers 0.5, 1.5, 2.5,
    3.5 lie at 0.375, 1.125, 1.875, 2.625 of the old columns and give 0 1 1 2, the corners 0, 0.75,
    1.5, 2.25 give 0 0 1 2.
    """
    if mask.shape == size:
        return mask
    return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
