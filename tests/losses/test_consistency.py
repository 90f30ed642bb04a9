"""The weight of a pixel by the agreement of two heads."""

from __future__ import annotations

import torch

from benchmarks import literal
from edgeseg.losses import consistency
from tests.losses.loss_inputs import normal


def test_disagreement_weight_is_one_for_equals_and_carries_no_gradient() -> None:
    torch.manual_seed(0)
    one, other = normal(1, 4, 3, 3).requires_grad_(True), normal(1, 4, 3, 3)
    weight = consistency.agreement_weight(one, other)
    assert not weight.requires_grad and float(weight.max()) < 1
    torch.testing.assert_close(weight, (-literal.kl_divergence(one.detach(), other)).exp())
    assert bool((consistency.agreement_weight(one, one) == 1).all())
