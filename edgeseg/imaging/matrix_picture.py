"""A confusion matrix as a picture, for places that show pictures alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.drawing import BLACK, FONT, drawable_names
from edgeseg.imaging.opencv import cv2

CELL, SMALLEST_CELL = 44, 10  # pixels; from 24 up there is room for a number
NUMBERED_CELL = 24
SIDE = 1000  # pixels that all cells together take at most
LETTER = 7.5  # pixels of a letter
LONGEST = 18  # letters of a name
FONT_SCALE = 0.4
FULL = np.array([31, 91, 158], np.float64)  # RGB of a whole row
NOT_SHOWN = 225  # gray


def confusion_picture(counts: NDArray[np.int64], names: Sequence[str]) -> Image:
    """Draw where the pixels of each class went, in percent of its row; rows are the truth.

    The row of a class that the truth does not show is gray.

    Args:
        counts: (C, C) pixels by true and predicted class.
        names: Of the classes.

    Returns:
        (H, W, 3) RGB, white behind.
    """
    number = len(names)
    cell = int(np.clip(SIDE // number, SMALLEST_CELL, CELL))
    shown = [name[:LONGEST] for name in drawable_names(names)]
    left = 26 + int(LETTER * max(map(len, shown)))
    top = left
    picture = np.full((top + number * cell + 8, left + number * cell + 8, 3), 255, np.uint8)
    totals = counts.sum(1)
    for row in range(number):
        for column in range(number):
            y, x = top + row * cell, left + column * cell
            share = counts[row, column] / totals[row] if totals[row] else None
            color = _cell_color(share)
            picture[y : y + cell - 1, x : x + cell - 1] = color
            if share and cell >= NUMBERED_CELL and round(100 * share):
                ink = (255, 255, 255) if share > 0.5 else BLACK
                _write(picture, f"{100 * share:.0f}", x + 4, y + cell // 2 + 4, ink)
        _write(picture, shown[row], 4, top + row * cell + cell // 2 + 4)
    _write_columns(picture, shown, left, top, cell)
    return picture


def _cell_color(share: float | None) -> NDArray[np.uint8]:
    """White for nothing, the full color for a whole row, gray where there is no row."""
    if share is None:
        return np.full(3, NOT_SHOWN, np.uint8)
    return np.round(255 + share * (FULL - 255)).astype(np.uint8)


def _write_columns(picture: Image, names: Sequence[str], left: int, top: int, cell: int) -> None:
    """Write the names above the columns, from below to above."""
    for column, name in enumerate(names):
        strip = np.full((cell, top, 3), 255, np.uint8)
        _write(strip, name, 4, cell // 2 + 4)
        x = left + column * cell
        picture[:top, x : x + cell] = np.rot90(strip)
    _write(picture, "truth", 4, top - 18)
    _write(picture, "predicted, %", 4, 14)


def _write(picture: Image, text: str, x: int, y: int, color: tuple[int, int, int] = BLACK) -> None:
    cv2.putText(picture, text, (x, y), FONT, FONT_SCALE, color, 1, cv2.LINE_AA)
