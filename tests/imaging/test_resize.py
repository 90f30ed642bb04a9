"""Frames are resized as in training, and masks never get ids that they did not have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.imaging.resize import resize_image, resize_mask


def test_shrinking_averages_areas_and_masks_come_back() -> None:
    random = np.random.default_rng(0)
    blocks = np.kron(random.integers(0, 256, (4, 4)), np.ones((8, 8), np.int64)).astype(np.uint8)
    assert np.array_equal(resize_image(np.dstack([blocks] * 3), (4, 4))[..., 0], blocks[::8, ::8])
    assert np.array_equal(resize_mask(resize_mask(blocks, (96, 64)), (32, 32)), blocks)


@pytest.mark.parametrize("size", [(3, 4), (6, 8), (5, 7)])
def test_masks_take_the_class_under_the_center_of_each_pixel(size: tuple[int, int]) -> None:
    mask = np.arange(9, dtype=np.uint8).reshape(3, 3)
    rows = ((np.arange(size[0]) + 0.5) * 3 / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * 3 / size[1]).astype(int)
    assert np.array_equal(resize_mask(mask, size), mask[rows][:, columns])


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_masks_get_no_new_ids(stored: tuple[int, int], size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).choice(np.array([0, 3, 7, 255], np.uint8), stored)
    resized = resize_mask(mask, size)
    assert resized.shape == size and set(resized.flat) <= set(mask.flat)
