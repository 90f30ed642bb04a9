"""Evaluations take a tenth of the work at most, of frames that are spread over all of val."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeseg.training.validation import Validation, frames_while_training
from tests.helpers.methods import config
from tests.helpers.sites import index_frame, make_site


@pytest.mark.parametrize(
    ("side", "changes", "expected"),
    [
        (192, {}, 48),  # 480 passes for frames that cost 1 + 9 each
        (64, {}, 200),  # 240 would be a tenth
        (64, {"eval_frames": 100}, 100),
        (1920, {}, 32),  # the least
        (192, {"eval_every": 400, "batch": 8, "batch_unlabelled": 8}, 192),
    ],
)
def test_the_frames_of_an_evaluation_cost_a_tenth_of_the_steps_between_two(
    side: int, changes: dict[str, object], expected: int
) -> None:
    settings = config(**{"eval_every": 200, "batch": 4, "batch_unlabelled": 4, **changes})
    frames = [replace(index_frame(number), height=side, width=side) for number in range(1000)]
    assert frames_while_training(settings, frames) == expected
    assert frames_while_training(settings, frames[:20]) == 20


def test_fewer_frames_are_spread_over_val(tmp_path_factory: pytest.TempPathFactory) -> None:
    site = make_site(tmp_path_factory.mktemp("site"))
    frames = [index_frame(number) for number in range(1000)]
    validation = Validation(site, frames, (64, 64), 4)
    assert validation.places == [125, 375, 625, 875]
    assert validation.final_places == list(range(1000))
    assert validation.blocks([0, 19, 20, 999]) == [0, 0, 1, 49]
    assert Validation(site, frames, (64, 64), 4, all_at_end=False).final_places == [
        125,
        375,
        625,
        875,
    ]
