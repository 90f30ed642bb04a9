"""Colors of the classes."""

from __future__ import annotations

import colorsys

import numpy as np

from edgeseg.imaging.array_types import Image, Palette

NO_CLASS_COLOR = (0, 0, 0)  # of every id that is no class, IGNORE among them


def color_table(palette: Palette) -> Image:
    """Return the color of every possible id, (256, 1, 3) uint8, as `cv2.applyColorMap` takes it.

    Args:
        palette: colors of the classes in the order of their ids; the table keeps their channel
            order, so RGB gives RGB.
    """
    table = np.full((256, 1, 3), NO_CLASS_COLOR, np.uint8)
    table[: len(palette), 0] = np.reshape(palette, (-1, 3))
    return table


def distinct_palette(number: int = 64) -> Palette:
    """Return RGB colors far apart, for masks seen outside the site that names its classes' own.

    The hues go round the color circle in steps of the golden ratio, 0.618 of a turn, which keeps
    any two neighbors in the list far from each other, however many there are.
    """
    hues = (index * 0.618 % 1.0 for index in range(number))
    colors = (colorsys.hsv_to_rgb(hue, 0.75, 0.95) for hue in hues)
    return tuple((int(255 * red), int(255 * green), int(255 * blue)) for red, green, blue in colors)
