"""The distillation loss."""

from __future__ import annotations

import pytest
import torch

from edgeseg.losses.distillation import distillation_loss


def test_distillation_is_zero_for_equals_falls_as_the_student_improves_and_skips_padding() -> None:
    torch.manual_seed(0)
    target, start = torch.randn(2, 5, 4, 4), torch.randn(2, 5, 4, 4)
    everywhere = torch.ones(2, 4, 4, dtype=torch.bool)
    losses = [
        float(distillation_loss(start + share * (target - start), target, everywhere, 2.0))
        for share in (0, 0.5, 1)
    ]
    assert losses[0] > losses[1] > losses[2] == pytest.approx(0, abs=1e-6)
    half = everywhere.clone()
    half[:, :2] = False
    target[:, :, :2] = 99 * torch.randn(2, 5, 2, 4)
    spoiled = distillation_loss(start, target, half, 2.0)
    assert float(spoiled) == pytest.approx(
        float(distillation_loss(start[:, :, 2:], target[:, :, 2:], half[:, 2:], 2.0)), rel=1e-5
    )
