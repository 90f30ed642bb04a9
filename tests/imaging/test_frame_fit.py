"""Frames of any shape come into the input of a network, and results back to where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.config import FitMode
from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.frame_fit import PADDING, Box, fit_frame
from edgeseg.imaging.resize import resize_image, resize_mask

SIDES = st.tuples(st.integers(1, 90), st.integers(1, 90))
SIZES = st.tuples(st.sampled_from([32, 64, 96]), st.sampled_from([32, 64, 96]))


def test_a_wide_frame_in_a_square_input() -> None:
    letterbox, crop = (
        fit_frame("letterbox", (90, 160), (96, 96)),
        fit_frame("crop", (90, 160), (96, 96)),
    )
    assert letterbox.inside == Box(21, 0, 54, 96) and letterbox.seen == Box(0, 0, 90, 160)
    assert crop.inside == Box(0, 0, 96, 96) and crop.seen == Box(0, 35, 90, 90)
    assert letterbox.pads and not letterbox.cuts and crop.cuts and not crop.pads

    image = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    boxed = letterbox.image(image)
    assert np.array_equal(boxed[21:75], resize_image(image, (54, 96)))
    assert (boxed[:21] == PADDING).all() and (boxed[75:] == PADDING).all()
    assert np.array_equal(crop.image(image), resize_image(image[:, 35:125], (96, 96)))


def test_stretching_is_what_it_always_was() -> None:
    fit = fit_frame("stretch", (30, 50), (32, 64))
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    mask = image[..., 0] % 4
    assert np.array_equal(fit.image(image), resize_image(image, (32, 64)))
    assert np.array_equal(fit.mask(mask), resize_mask(mask, (32, 64)))
    predicted = fit.mask(mask)
    assert fit.restore_mask(predicted) is predicted


@pytest.mark.parametrize("mode", ["stretch", "letterbox", "crop"])
def test_a_frame_of_the_shape_of_the_input_is_all_there(mode: FitMode) -> None:
    fit = fit_frame(mode, (48, 96), (32, 64))
    assert fit.inside.size == (32, 64) and fit.seen.size == (48, 96)


@given(st.sampled_from(["stretch", "letterbox", "crop"]), SIDES, SIZES)
def test_masks_come_back_to_the_pixels_that_they_are_about(
    mode: FitMode, frame: tuple[int, int], size: tuple[int, int]
) -> None:
    """A mask of places, brought in and back, says of each pixel a place no farther than scaling."""
    fit = fit_frame(mode, frame, size)
    rows = np.repeat(np.arange(frame[0], dtype=np.uint8)[:, None], frame[1], 1)
    back = fit.frame_mask(fit.mask(rows))
    assert back.shape == frame
    top, height = fit.seen.top, fit.seen.height
    seen = back[fit.seen.slices].astype(int)
    pitch = max(1.0, height / fit.inside.height)
    assert np.abs(seen - np.arange(top, top + height)[:, None]).max() <= pitch
    outside = np.ones(frame, bool)
    outside[fit.seen.slices] = False
    assert (back[outside] == IGNORE).all()
    truth, predicted = fit.seen_pair(rows, fit.mask(rows))
    assert truth.shape == predicted.shape == fit.seen.size and (predicted != IGNORE).all()


@given(st.sampled_from(["letterbox", "crop"]), SIDES, SIZES, st.sampled_from([4, 8, 16]))
def test_maps_come_back_without_padding(
    mode: FitMode, frame: tuple[int, int], size: tuple[int, int], stride: int
) -> None:
    fit = fit_frame(mode, frame, size)
    shape = size[0] // stride, size[1] // stride
    values = np.ones(shape, np.float32)
    whole = fit.restore_map(values)
    assert whole.ndim == 2 and whole.size and whole.max() == 1
    if fit.cuts:
        assert whole.size <= (fit.frame[0] + 1) * (fit.frame[1] + 1)
    else:
        assert (whole == 1).all()


def test_cells_count_when_their_center_is_inside() -> None:
    fit = fit_frame("letterbox", (36, 64), (64, 64))
    assert fit.inside == Box(14, 0, 36, 64)
    rows = np.repeat(np.arange(16, dtype=np.float32)[:, None], 16, 1)
    assert fit.restore_map(rows)[:, 0].tolist() == [*range(3, 12)]
