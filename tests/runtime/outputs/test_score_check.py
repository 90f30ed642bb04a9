"""Scores that are no numbers are told once and counted."""

from __future__ import annotations

import math

import pytest

from edgeseg.progress import NullReporter
from edgeseg.runtime.outputs.score_check import ScoreCheck
from tests.helpers.predictions import gray_frame, quarter_prediction


class Said(NullReporter):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, message: str) -> None:
        self.sentences.append(message)


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.1, 1.1])
def test_the_first_is_told_and_all_are_counted(score: float) -> None:
    said = Said()
    check = ScoreCheck(said)
    check.write(gray_frame(1), quarter_prediction())
    assert check.invalid == 0 and not said.sentences
    wrong = quarter_prediction()
    wrong.score[:] = score
    check.write(gray_frame(2), wrong)
    check.write(gray_frame(3), wrong)
    assert check.invalid == 2
    [sentence] = said.sentences
    assert sentence.startswith("frame 000002: its score is ") and "edgeseg eval" in sentence
