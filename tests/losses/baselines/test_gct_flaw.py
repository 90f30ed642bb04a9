"""GCT's flaw target, and who learns from whom."""

from __future__ import annotations

import pytest
import torch

from edgeseg.losses.baselines import gct_flaw


def test_the_flaw_target_is_high_around_mistakes_and_zero_where_all_is_right() -> None:
    label = torch.zeros(1, 32, 32, dtype=torch.int64)
    right = torch.stack([torch.ones(1, 32, 32), torch.zeros(1, 32, 32)], 1)
    assert not gct_flaw.flaw_target(right, label).any()
    wrong = right.clone()
    wrong[:, :, 8:20, 8:20] = wrong[:, :, 8:20, 8:20].flip(1)
    flaw = gct_flaw.flaw_target(wrong, label)
    assert (
        float(flaw[0, 14, 14]) > 0.95
        and 0.2 < float(flaw[0, 8, 14]) < 0.8
        and float(flaw[0, 31, 31]) < 1e-3
    )
    assert float(gct_flaw.flaw_target(wrong.flip(1), label, 0.0)[0, 0, 0]) == pytest.approx(1.0)
    assert not gct_flaw.flaw_target(wrong, torch.full_like(label, 255)).any()


def test_of_two_flawed_networks_the_worse_one_learns() -> None:
    flaw_1, flaw_2 = (
        torch.tensor([0.1, 0.7, 0.7, 0.9, 0.5]),
        torch.tensor([0.3, 0.2, 0.8, 0.7, 0.5]),
    )
    first, second, both = gct_flaw.dynamic_consistency_masks(flaw_1, flaw_2)
    assert first.tolist() == [False, True, False, False, False]
    assert second.tolist() == [True, False, False, False, False]
    assert both.tolist() == [False, False, True, True, False]
