"""Pictures of masks and entropy for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.atomic_files import write_atomic
from edgeseg.imaging.array_types import Image

IGNORE_COLOR = (0, 0, 0)


def paint_mask(mask: Image, palette: Sequence[tuple[int, int, int]]) -> Image:
    """(H, W) class ids -> (H, W, 3) RGB; 255 and unknown ids are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return np.asarray(table[mask], np.uint8)


def paint_entropy(entropy: NDArray[np.float32]) -> Image:
    """(H, W) 0..1 -> (H, W, 3) RGB, dark where certain."""
    codes = (np.clip(entropy, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(codes, cv2.COLORMAP_INFERNO)[..., ::-1], np.uint8)


def image_grid(rows: Sequence[Sequence[Image]], titles: Sequence[str]) -> Image:
    """Pictures of one size in rows, a title above each column."""
    gap = 4
    width = rows[0][0].shape[1]
    head = np.full((24, len(titles) * (width + gap), 3), 255, np.uint8)
    for column, title in enumerate(titles):
        place = (column * (width + gap) + 4, 17)
        cv2.putText(head, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    lines = [head]
    for row in rows:
        cells = [np.pad(cell, ((0, gap), (0, gap), (0, 0)), constant_values=255) for cell in row]
        lines.append(np.concatenate(cells, 1))
    return np.concatenate(lines)


def class_legend(
    names: Sequence[str], palette: Sequence[tuple[int, int, int]], width: int
) -> Image:
    """One line or more of colored squares with the classes' names."""
    lines, x, y = [], 4, 0
    for name, color in zip(names, palette):
        need = 24 + 9 * len(name)
        if x + need > width and x > 4:
            x, y = 4, y + 22
        lines.append((x, y, name, color))
        x += need
    picture = np.full((y + 24, width, 3), 255, np.uint8)
    for left, top, name, color in lines:
        cv2.rectangle(picture, (left, top + 5), (left + 13, top + 18), color, -1)
        cv2.putText(
            picture,
            name,
            (left + 17, top + 17),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.45,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    return picture


def save_png(path: Path, image: Image) -> None:
    """Write (H, W, 3) RGB or (H, W) gray as PNG, atomically."""
    stored = image[..., ::-1] if image.ndim == 3 else image
    done, data = cv2.imencode(".png", np.ascontiguousarray(stored))
    assert done, "PNG encoding of a uint8 array cannot fail"
    write_atomic(path, data.tobytes())
