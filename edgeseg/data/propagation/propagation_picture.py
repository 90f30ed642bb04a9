"""A picture of propagated labels, and how much of the footage they hold for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeseg.data.frame_reader import FrameReader
from edgeseg.imaging.array_types import IGNORE, Palette
from edgeseg.imaging.drawing import class_legend, image_grid, paint_mask, save_png

LOOKED_AT = 24  # frames, evenly spread
DRAWN = 6  # those of them that are drawn


def draw_propagation(
    footage: FrameReader, names: Sequence[str], palette: Palette, path: Path
) -> str:
    """Write rows of a frame and its labels to `path`.

    Args:
        footage: Unlabelled frames whose masks are propagated, one at least.
        names: Of the classes.
        palette: Their colors.
        path: A PNG file.

    Returns:
        A sentence with the share of pixels that got labels.
    """
    spread = np.unique(np.linspace(0, len(footage) - 1, LOOKED_AT).round().astype(int))
    frames = [footage[index] for index in spread]
    share = float(np.mean([(mask != IGNORE).mean() for _, mask in frames]))
    drawn = np.unique(np.linspace(0, len(frames) - 1, DRAWN).round().astype(int))
    rows = [(frames[index][0], paint_mask(frames[index][1], palette)) for index in drawn]
    grid = image_grid(rows, ("unlabelled frame", "labels of other frames"))
    save_png(path, np.concatenate([grid, class_legend(names, palette, grid.shape[1])]))
    return f"labels could be carried to {100 * share:.0f} % of the footage (look at {path})"
