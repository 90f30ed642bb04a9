"""Pixels of each class in masks."""

from __future__ import annotations

import numpy as np

from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.mask_png import read_mask
from edgeseg.site import Frame, Site


def count_class_pixels(mask: Mask, classes: int) -> list[int]:
    """Count the pixels of each class, (C,); those that are not labelled are left out."""
    return [int(count) for count in np.bincount(mask.ravel(), minlength=256)[:classes]]


def frame_class_pixels(site: Site, frame: Frame) -> list[int]:
    """Count the pixels of each class, (C,), in the stored mask of a frame; zeros where it has none.

    Raises:
        DataError: The mask is missing or damaged.
    """
    classes = len(site.config.classes)
    if not frame.mask:
        return [0] * classes
    fault = "is missing or damaged; add the labels again with `edgeseg add labels IMAGES MASKS`"
    return count_class_pixels(read_mask(site.path(frame.mask), fault=fault), classes)
