"""The directional contrastive loss moves one view only."""

from __future__ import annotations

import torch

from edgeseg.losses.baselines.cac_directional import directional_contrast
from tests.losses.loss_inputs import normal


def test_directional_contrast_only_moves_the_less_confident_side() -> None:
    torch.manual_seed(0)
    one, other = normal(4, 3).requires_grad_(True), normal(4, 3).requires_grad_(True)
    sure_one, sure_other = torch.tensor([0.2, 0.9, 0.5, 0.8]), torch.tensor([0.9, 0.3, 0.6, 0.8])
    label, everywhere = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.bool)
    negatives, names = normal(5, 3), torch.ones(5, dtype=torch.int64)
    loss = directional_contrast(
        one, other, sure_one, sure_other, label, label, everywhere, negatives, names
    )
    first, second = torch.autograd.grad(loss, [one, other])
    assert first.any(1).tolist() == [True, False, False, False]
    assert second.any(1).tolist() == [False, True, False, False]
