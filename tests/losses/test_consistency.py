"""The weight of a pixel by the agreement of two heads, and the loss that doubts labels."""

from __future__ import annotations

import math

import pytest
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


def test_a_sure_pixel_hardly_follows_a_label_that_disagrees_and_a_doubtful_one_does() -> None:
    """The self-correction of DSBN; the numbers are those of its official code."""
    label = torch.zeros(1, 1, 1, dtype=torch.int64)

    def pull(*logits: float) -> float:
        """Towards the label: minus the gradient of its logit."""
        z = torch.tensor(logits, dtype=torch.float64).view(1, -1, 1, 1).requires_grad_(True)
        (slope,) = torch.autograd.grad(consistency.self_correction_loss(z, label).sum(), z)
        return -float(slope[0, 0])

    assert pull(0.0, 7.0, 0.0) == pytest.approx(0.0084, abs=1e-4)  # sure of another class
    assert pull(0.0, 0.5, 0.0) > 1.2  # 146 times as much
    # w = 0.5 between two classes: half of the cross-entropy, half of 9.21 (1 - q).
    even = torch.zeros(1, 2, 1, 1, dtype=torch.float64)
    found = float(consistency.self_correction_loss(even, label))
    assert found == pytest.approx(0.5 * math.log(2) + 0.25 * math.log(1e4))


def test_a_sure_pixel_that_agrees_has_the_reverse_term_alone() -> None:
    sure = torch.tensor([3.0, 0.0], dtype=torch.float64).view(1, 2, 1, 1)
    found = float(consistency.self_correction_loss(sure, torch.zeros(1, 1, 1, dtype=torch.int64)))
    assert found == pytest.approx(math.log(1e4) / (1 + math.exp(3)))
