"""Which files are images, and their natural order."""

from __future__ import annotations

import re
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)


def is_image(path: Path) -> bool:
    """Whether the file's name is that of a picture."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def natural_sort_key(path: Path) -> list[tuple[int, str]]:
    """A sort key that puts frame_2 before frame_10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", str(path))
        if part
    ]
