"""Confusion matrices as pictures."""

from __future__ import annotations

import numpy as np

from edgeseg.imaging.matrix_picture import CELL, FULL, NOT_SHOWN, confusion_picture


def test_the_diagonal_is_dark_and_a_class_that_is_not_shown_gray() -> None:
    counts = np.array([[90, 10, 0], [0, 0, 0], [0, 50, 50]])
    picture = confusion_picture(counts, ["a", "路", "a very long name that is cut"])
    corner = picture[-8 - 3 * CELL :, -8 - 3 * CELL :]
    cells = corner[3 : 3 * CELL : CELL, 3 : 3 * CELL : CELL].astype(int)  # beside the numbers
    assert (cells[1] == NOT_SHOWN).all()
    assert (cells[0, 2] == 255).all() and (cells[2, 0] == 255).all()
    darkness = 255 - cells[..., 0]
    assert darkness[0, 0] == round(0.9 * (255 - FULL[0]))
    assert darkness[0, 0] > darkness[2, 2] == darkness[2, 1] > darkness[0, 1] > 0


def test_many_classes_stay_a_picture_of_bounded_size() -> None:
    picture = confusion_picture(np.eye(64, dtype=np.int64), [f"class {n}" for n in range(64)])
    assert max(picture.shape) < 1300 and picture.dtype == np.uint8
