"""Drawing: colors of masks, overlays, and pictures laid out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.imaging.drawing import class_legend, image_grid, overlay_mask, paint_mask, save_png
from edgeseg.imaging.palette import color_table, distinct_palette

PALETTE = ((10, 20, 30), (200, 100, 50))
MASK = np.array([[0, 1], [2, 255]], np.uint8)


def test_ids_beyond_the_palette_are_black() -> None:
    assert paint_mask(MASK, PALETTE).tolist() == [
        [[10, 20, 30], [200, 100, 50]],
        [[0, 0, 0], [0, 0, 0]],
    ]
    assert color_table([]).shape == (256, 1, 3) and not color_table([]).any()


@pytest.mark.parametrize("step", [1, -1, 2])
def test_views_of_masks_are_painted_like_copies(step: int) -> None:
    mask = np.random.default_rng(0).integers(0, 3, (8, 12), np.uint8)[::step, ::step]
    assert np.array_equal(paint_mask(mask, PALETTE), color_table(PALETTE)[:, 0][mask])


def test_an_overlay_leaves_what_is_no_class_alone() -> None:
    image = np.full((2, 2, 3), 91, np.uint8)
    assert overlay_mask(image, MASK, PALETTE).tolist() == [
        [[45 + 5, 45 + 10, 45 + 15], [45 + 100, 45 + 50, 45 + 25]],
        [[91, 91, 91], [91, 91, 91]],
    ]


def test_the_colors_of_a_palette_without_names_are_far_apart() -> None:
    colors = np.array(distinct_palette(12)).astype(int)
    distances = np.abs(colors[:, None] - colors[None]).max(-1) + 255 * np.eye(12, dtype=int)
    assert distances.min() > 30 and colors.min() >= 0 and colors.max() <= 255


def test_grids_have_room_for_titles_and_legends_break_lines(tmp_path: Path) -> None:
    picture = np.zeros((6, 40, 3), np.uint8)
    assert image_grid([[picture] * 3] * 2, ("a", "b", "c")).shape == (24 + 2 * 10, 3 * 44, 3)
    one_line, three_lines = (
        class_legend(("water", "sky", "bank"), PALETTE * 2, w).shape[0] for w in (500, 60)
    )
    assert (one_line, three_lines) == (24, 24 + 2 * 22)
    save_png(tmp_path / "p.png", np.full((2, 2, 3), (1, 2, 3), np.uint8))
    stored = cv2.imread(str(tmp_path / "p.png"))
    assert stored is not None and stored[0, 0].tolist() == [3, 2, 1]  # OpenCV reads BGR
