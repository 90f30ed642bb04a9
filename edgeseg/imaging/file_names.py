"""File names: which ones are images, and the order in which people number them."""

from __future__ import annotations

import re
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)


def is_image(path: Path) -> bool:
    """Return whether the file's name is that of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def natural_sort_key(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts frame_2 before frame_10.

    Digits compare as numbers and stand behind everything else: "frame_10" becomes
    [(-1, "frame_"), (10, "")].
    """
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", str(path))
        if part
    ]
