"""The materials of the synthetic site: the class, the color and the roughness of each."""

from __future__ import annotations

import numpy as np

from edgeseg.demo.renderer.noise import Floats

# Materials by number.
SKY, EARTH, STONES, GRASS, FOREST, LEAF, REED, CONCRETE, WHITE, BLACK, STEEL, BRICK, ROOF = range(
    13
)
NUMBER = 13

# Classes of the masks, by id.
CLASSES = (
    ("sky", "#7ec8f2"),
    ("water", "#1f5fbf"),
    ("bank", "#b08d57"),
    ("vegetation", "#3f9b3f"),
    ("structure", "#d9483b"),
)
SKY_CLASS, WATER_CLASS, BANK_CLASS, VEGETATION_CLASS, STRUCTURE_CLASS = range(5)
CLASS_OF_MATERIAL = np.array([0, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4], np.uint8)

# How much the grain of each material darkens and brightens it.
ROUGHNESS = np.array(
    [0, 0.22, 0.24, 0.28, 0.25, 0.24, 0.3, 0.10, 0.05, 0.05, 0.1, 0.16, 0.12], np.float32
)

Color = tuple[float, float, float]  # linear RGB


def leaf_turning(day: float) -> float:
    """Return how far leaves have turned on a day of the year: 0 in summer, 1 from November."""
    return float(np.clip((day - 250) / 50, 0, 1))


def material_colors(day: float) -> tuple[Floats, Floats]:
    """Return the color of each material on a day of the year, and how its tint shifts it.

    Returns:
        Both (13, 3) linear RGB; the second is multiplied by `SurfaceMap.tint`.
    """
    turned, dry = leaf_turning(day), float(np.clip((day - 175) / 60, 0, 1))
    color = np.zeros((NUMBER, 3), np.float32)
    color[EARTH] = 0.22, 0.155, 0.095
    color[STONES] = 0.30, 0.285, 0.255
    color[GRASS] = mix(
        (0.115, 0.175, 0.045), (0.25, 0.215, 0.085), 0.55 * dry * (1 - turned) + 0.75 * turned
    )
    color[FOREST] = mix((0.045, 0.085, 0.03), (0.17, 0.085, 0.03), 0.8 * turned)
    color[LEAF] = mix((0.07, 0.145, 0.03), (0.33, 0.15, 0.025), turned)
    color[REED] = mix((0.16, 0.18, 0.06), (0.32, 0.24, 0.11), max(0.5 * dry, turned))
    color[CONCRETE] = 0.33, 0.32, 0.295
    color[WHITE] = 0.78, 0.78, 0.75
    color[BLACK] = 0.03, 0.03, 0.035
    color[STEEL] = 0.10, 0.105, 0.11
    color[BRICK] = 0.27, 0.135, 0.095
    color[ROOF] = 0.20, 0.085, 0.065

    shift = np.zeros((NUMBER, 3), np.float32)
    shift[[EARTH, STONES]] = 0.03, 0.03, 0.012
    shift[GRASS] = 0.035, 0.01, 0.008
    shift[FOREST] = mix((0.012, 0.016, 0.0), (0.06, 0.02, 0.0), turned)
    shift[LEAF] = mix((0.022, 0.028, 0.008), (0.14, -0.06, -0.01), turned)
    shift[CONCRETE] = -0.03, -0.022, -0.035  # moss and rain streaks
    shift[BRICK] = 0.02, 0.02, 0.015
    return color, shift


def rgb(red: float, green: float, blue: float) -> Floats:
    """Return a color as an array (3,)."""
    return np.array([red, green, blue], np.float32)


def mix(first: Color, second: Color, share: float) -> Floats:
    """Return (3,) the mixture of two colors with a share 0..1 of the second."""
    return (1 - share) * rgb(*first) + share * rgb(*second)
