"""What a frame looks like, in numbers that need no model: colors and edges, cell by cell.

Frames that look alike in them show the same place in the same light. They order the labels of a
site that has no model yet, and stand beside the model's own features afterwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.resize import resize_image

SIDE, CELLS, DIRECTIONS = 64, 4, 8  # the picture is looked at as 64 x 64 pixels in 4 x 4 cells
PIXEL_FEATURES = CELLS * CELLS * (4 + DIRECTIONS)
Floats = NDArray[np.float32]
DARK = 0.25  # mean lightness, 0 to 1, below which a frame counts as dark


def describe_pixels(image: Image) -> Floats:
    """Return (PIXEL_FEATURES,): the mean color of each cell, its contrast, its directions of edges.

    Color is CIELAB scaled to 0..1; edges are a histogram of gradients' directions by strength, its
    square roots, so that one strong edge does not drown the others.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    small = resize_image(image, (SIDE, SIDE)).astype(np.float32) / 255
    lab = np.array(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32)
    lab /= np.array([100, 255, 255], np.float32)
    lightness = np.ascontiguousarray(lab[..., 0])
    color = _cells(lab).mean((1, 3))
    contrast = _cells(lightness[..., None]).std((1, 3))
    across = cv2.Sobel(lightness, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(lightness, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down)
    # An edge has the same direction from either side: angles count modulo half a turn.
    direction = np.arctan2(down, across) % np.pi * (DIRECTIONS / np.pi)
    bins = np.minimum(direction.astype(int), DIRECTIONS - 1)
    one_hot = (bins[..., None] == np.arange(DIRECTIONS)) * strength[..., None]
    edges = np.sqrt(_cells(one_hot).mean((1, 3)))
    parts = [part.reshape(-1) for part in (color, contrast, edges)]
    return np.concatenate(parts).astype(np.float32)


def lightness_of(features: Floats) -> Floats:
    """Return (N,) the mean lightness, 0 black to 1 white, of frames by their features, (N, D)."""
    return np.asarray(features[:, : 3 * CELLS * CELLS : 3].mean(1), np.float32)


def _cells(values: NDArray[np.float32]) -> Floats:
    """Return (SIDE, SIDE, K) as (CELLS, pixels, CELLS, pixels, K)."""
    pixels = SIDE // CELLS
    return values.reshape(CELLS, pixels, CELLS, pixels, -1)
