"""Overlays have a size that codecs take and a legend that can be read."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.config import ClassSpec
from edgeseg.imaging.resize import resize_mask
from edgeseg.runtime.outputs.overlay import Overlay


@pytest.mark.parametrize("size", [(30, 40), (480, 640), (1081, 1921), (2000, 100)])
@pytest.mark.parametrize("count", [2, 11, 64])
def test_overlays_have_a_sensible_even_size_and_a_legend(size: tuple[int, int], count: int) -> None:
    classes = tuple(
        ClassSpec(name=f"Größe {index}", color=f"#{index * 4:02x}80ff") for index in range(count)
    )
    overlay = Overlay(classes, *size)
    image = np.full((*size, 3), 255, np.uint8)
    picture = overlay.draw(
        image, np.zeros((8, 8), np.uint8), 0.5, np.full(count, 1 / count, np.float32)
    )
    assert picture.shape == (overlay.height, overlay.width, 3) and not (
        overlay.height % 2 or overlay.width % 2
    )
    assert max(picture.shape) <= 1280 and max(picture.shape) >= 638
    assert (
        picture[6:20, 40:60].mean() < picture[-20:, -20:].mean()
    )  # the legend's box is darker than the rest
    assert image.min() == 255  # the frame itself is left alone


def test_class_borders_lie_where_every_other_part_puts_them() -> None:
    y, x = np.mgrid[:192, :256]
    mask = (x > y).astype(np.uint8)
    classes = [ClassSpec(name="water", color="#000000"), ClassSpec(name="bank", color="#ff0000")]
    overlay = Overlay(classes, 480, 640)
    picture = overlay.draw(np.zeros((480, 640, 3), np.uint8), mask, 0.5, np.ones(2, np.float32))
    below_legend = slice(200, None)
    is_bank = picture[below_legend, :, 0] > 0
    assert np.array_equal(is_bank, resize_mask(mask, (480, 640))[below_legend] == 1)
