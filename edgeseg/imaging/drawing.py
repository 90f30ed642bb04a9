"""Pictures of masks and entropy for people to look at."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.atomic_files import write_atomic
from edgeseg.imaging.array_types import Image, Mask, Palette
from edgeseg.imaging.image_codec import encode_png
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.palette import color_table

FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SCALE = 0.45
BLACK = (0, 0, 0)


def paint_mask(mask: Mask, palette: Palette) -> Image:
    """Paint (H, W) class ids as (H, W, 3) RGB; 255 and unknown ids are black."""
    return np.asarray(cv2.applyColorMap(mask, color_table(palette)), np.uint8)


def paint_entropy(entropy: NDArray[np.float32]) -> Image:
    """Paint (H, W) entropy of 0 to 1 as (H, W, 3) RGB, dark where the network is certain."""
    levels = (np.clip(entropy, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1], np.uint8)


def overlay_mask(image: Image, mask: Mask, palette: Palette) -> Image:
    """Lay a mask half transparent over a frame of the same size, (H, W, 3) RGB.

    Pixels whose id is no class of `palette`, `IGNORE` among them, are left as they are.
    """
    blended = image // 2 + paint_mask(mask, palette) // 2
    return np.where(mask[..., None] < len(palette), blended, image).astype(np.uint8)


def image_grid(rows: Sequence[Sequence[Image]], titles: Sequence[str]) -> Image:
    """Lay out pictures of one size in rows, with a title above each column."""
    gap = 4
    width = rows[0][0].shape[1]
    header = np.full((24, len(titles) * (width + gap), 3), 255, np.uint8)
    for column, title in enumerate(titles):
        _write_text(header, title, column * (width + gap) + 4, 17)
    strips = [header]
    for row in rows:
        cells = [np.pad(cell, ((0, gap), (0, gap), (0, 0)), constant_values=255) for cell in row]
        strips.append(np.concatenate(cells, 1))
    return np.concatenate(strips)


def drawable_names(names: Sequence[str]) -> list[str]:
    """Return the names of classes in the letters that OpenCV's fonts have, which is ASCII.

    "Größe" becomes "Grosse"; a name without a letter that can be drawn, such as "路面" as class 3,
    becomes "class 3".
    """
    drawable = []
    for number, name in enumerate(names):
        decomposed = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
        letters = "".join(each for each in decomposed if each.isascii() and each.isprintable())
        has_word = any(each.isalnum() for each in letters)
        drawable.append(letters.strip() if has_word else f"class {number}")
    return drawable


def class_legend(names: Sequence[str], palette: Palette, width: int) -> Image:
    """Draw colored squares with the classes' names, in as many lines as `width` pixels ask for."""
    entries, x, y = [], 4, 0
    for name, color in zip(drawable_names(names), palette):
        needed = 24 + 9 * len(name)  # pixels: the square, then about 9 for a letter
        if x + needed > width and x > 4:
            x, y = 4, y + 22
        entries.append((x, y, name, color))
        x += needed
    picture = np.full((y + 24, width, 3), 255, np.uint8)
    for left, top, name, color in entries:
        cv2.rectangle(picture, (left, top + 5), (left + 13, top + 18), color, -1)
        _write_text(picture, name, left + 17, top + 17)
    return picture


def save_png(path: Path, image: Image) -> None:
    """Write (H, W, 3) RGB or (H, W) gray as PNG, atomically."""
    write_atomic(path, encode_png(image))


def _write_text(picture: Image, text: str, x: int, y: int) -> None:
    cv2.putText(picture, text, (x, y), FONT, FONT_SCALE, BLACK, 1, cv2.LINE_AA)
