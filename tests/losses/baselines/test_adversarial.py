"""Pixels or frames that a discriminator takes for real."""

from __future__ import annotations

import torch

from edgeseg.losses.baselines.adversarial import judged_real


def test_scores_are_compared_as_probabilities() -> None:
    score = torch.tensor([-2.0, 0.0, 3.0])
    assert judged_real(score, 0.2).tolist() == [False, True, True]
