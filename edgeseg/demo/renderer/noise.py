"""Tileable noise textures and their lookup, of which every surface, cloud and wave of the synthetic
site is made.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[
    np.floating[Any]
]  # float32 in truth; numpy's stubs take some of the arithmetic for float64
SIDE = 512  # pixels of a texture


def noise_tile(random: np.random.Generator, roughness: float, low: float = 2.0) -> Floats:
    """Return a (SIDE, SIDE) texture that continues over its edges, mean 0, standard deviation 1.

    White noise is shaped in the frequency domain: a wave that fits n times into the tile is
    multiplied by n ** -roughness.

    Args:
        random: The source of the noise.
        roughness: The exponent of the spectrum; 1 is grainy, 2 is cloudy, 3 is smooth.
        low: Waves over the tile below which nothing is kept, so that repetition is not seen.
    """
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]) * SIDE
    gain = np.where(frequency >= low, np.maximum(frequency, 1.0) ** -roughness, 0.0)
    field = np.fft.irfft2(np.fft.rfft2(random.standard_normal((SIDE, SIDE))) * gain, (SIDE, SIDE))
    return np.asarray(field / field.std(), np.float32)


def sample_tile(texture: Floats, u: Floats, v: Floats) -> Floats:
    """Return `texture` at u, v (both (H, W), in tiles), bilinear and repeating: 1.25 is 0.25."""
    across, down = ((c - np.floor(c)).astype(np.float32) * np.float32(SIDE) for c in (u, v))
    return np.asarray(
        cv2.remap(texture, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32
    )


def smoothstep(low: float, high: float, value: Floats) -> Floats:
    """Return 0 below `low`, 1 above `high`, and 3 s^2 - 2 s^3 of the share s between.

    `low` may be the larger one: the step then goes down.
    """
    share = np.clip((value - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share), np.float32)


def fade_texture(texture: Floats, distance: Floats, reach: float) -> Floats:
    """Return `texture`, weaker where a pixel covers many of its grains: half at `reach` meters."""
    return np.asarray(texture / (1 + np.square(distance / np.float32(reach))), np.float32)
