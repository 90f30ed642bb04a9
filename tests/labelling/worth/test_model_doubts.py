"""Doubts: borders count little, unknown regions much, and a mirror tells a guess."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.frame_fit import FrameFit, fit_frame
from edgeseg.labelling.site_models import ModelView
from edgeseg.labelling.worth.model_doubts import Floats, ModelDoubts, look_at_frame

SIZE = (64, 96)


class StandIn:
    """A model that sees class 1 where a frame is red, unsure where it is green."""

    name, digest = "stand-in", "0"

    def __init__(self, *, guesses_left: bool = False, mode: str = "stretch") -> None:
        self._guesses_left, self._mode = guesses_left, mode

    def fit(self, image: Image) -> FrameFit:
        return fit_frame(self._mode, image.shape[:2], SIZE)

    def view(self, image: Image) -> ModelView:
        mask: Mask = (image[..., 0] > 127).astype(np.uint8)
        if self._guesses_left:
            mask[:, : SIZE[1] // 2] = 1
        return ModelView(mask, np.asarray(image[::4, ::4, 1] / 255, np.float32))


def doubts_of(image: Image, **options: object) -> ModelDoubts:
    row: Floats = look_at_frame(StandIn(**options), image, 2)  # type: ignore[arg-type]
    return ModelDoubts.from_rows(row[None], 2)


def picture() -> Image:
    """Black on the left, red on the right."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, 48:, 0] = 255
    return image


def test_a_border_counts_a_quarter_of_a_region() -> None:
    border, region = picture(), picture()
    border[:, 44:52, 1] = 255
    region[:, 8:16, 1] = 255
    at_border, inside = doubts_of(border), doubts_of(region)
    assert at_border.entropy[0] == pytest.approx(inside.entropy[0] / 4, rel=0.01)
    assert at_border.unknown[0] < 0.6 * inside.unknown[0]


def test_a_small_thing_that_is_not_known_shows_in_the_parts() -> None:
    small = picture()
    small[0:8, 0:48, 1] = 255
    seen = doubts_of(small)
    assert seen.entropy[0] < 0.08 and seen.unknown[0] > 0.4
    assert seen.unsure[0] == pytest.approx([1, 0])


def test_what_a_mirror_changes_is_a_guess() -> None:
    assert doubts_of(picture()).contradiction[0] == 0
    assert doubts_of(picture(), guesses_left=True).contradiction[0] > 0.4


def test_padding_of_a_letterbox_counts_for_nothing() -> None:
    image = np.zeros((20, 60, 3), np.uint8)
    image[..., 0] = 255
    assert doubts_of(image, mode="letterbox").areas[0] == pytest.approx([0, 1])


def test_areas_are_shares_and_a_layout_stands_for_missing_features() -> None:
    seen = doubts_of(picture())
    assert seen.areas[0] == pytest.approx([0.5, 0.5])
    assert seen.features.shape == (1, 16 * 2)
