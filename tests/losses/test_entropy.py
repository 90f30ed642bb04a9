"""Entropy, and the percentile thresholds that part reliable from unreliable pixels."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks import literal
from edgeseg.losses.entropy import (
    class_percentile_thresholds,
    entropy,
    percentile_threshold,
    unreliable_share,
)
from edgeseg.losses.u2pl_contrastive import class_ranks
from tests.losses.loss_inputs import class_probabilities

SEED_PIXEL = torch.tensor([[0.60, 0.18, 0.14, 0.03, 0.03, 0.02]], dtype=torch.float64)


def test_entropy_reference_value() -> None:
    maps = SEED_PIXEL[..., None, None]
    assert float(entropy(maps)) * math.log(6) == pytest.approx(1.17905, abs=1e-5)
    assert float(entropy(maps)) == pytest.approx(0.65804, abs=1e-5)


def test_entropy_of_a_certain_pixel_is_zero_and_of_an_even_one_is_one() -> None:
    maps = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])[..., None, None]
    assert entropy(maps).flatten().tolist() == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize(("step", "share"), [(0, 0.2), (20, 0.15), (40, 0.1), (79, 0.0025)])
def test_unreliable_share_reference_values(step: int, share: float) -> None:
    assert unreliable_share(0.2, step / 80) == pytest.approx(share)


def test_threshold_is_the_percentile_of_the_valid_entries() -> None:
    values = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0))
    valid = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(1)) < 0.7
    for share in (0.05, 0.2, 0.6):
        exact = float(torch.quantile(values[valid], 1 - share))
        assert float(percentile_threshold(values, valid, share)) == pytest.approx(exact, abs=1e-3)


def test_threshold_keeps_everything_when_nothing_is_to_be_cut_or_nothing_counts() -> None:
    values = torch.rand(1, 4, 4)
    assert bool(
        (
            values < percentile_threshold(values, torch.ones_like(values, dtype=torch.bool), 0.0)
        ).all()
    )
    assert bool(
        (
            values < percentile_threshold(values, torch.zeros_like(values, dtype=torch.bool), 0.2)
        ).all()
    )


def test_class_thresholds_keep_the_same_share_of_a_rare_and_uncertain_class() -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.zeros(1, 100, 100, dtype=torch.int64)
    label[:, :5] = 1  # 5 % of the pixels, all of them less certain than the rest
    values = 0.3 * torch.rand(1, 100, 100, generator=generator) + 0.5 * label
    everywhere = torch.ones_like(label, dtype=torch.bool)
    gammas = class_percentile_thresholds(values, label, everywhere, 0.2, 3)
    kept = values < gammas[label]
    for name in (0, 1):
        assert float(kept[label == name].float().mean()) == pytest.approx(0.8, abs=0.02)
    assert (
        float((values < percentile_threshold(values, everywhere, 0.2))[label == 1].float().mean())
        < 0.05
    )
    assert float(gammas[2]) > 1  # nothing to cut in a class without pixels


def test_entropy_threshold_and_ranks_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    probability = class_probabilities(2, 5, 12, 13)
    found, valid = entropy(probability), torch.rand(2, 12, 13) < 0.8
    torch.testing.assert_close(found, literal.entropy(probability))
    assert float(percentile_threshold(found, valid, 0.2)) == pytest.approx(
        literal.percentile_threshold(found, valid, 0.2), abs=2e-3
    )
    rows = probability.movedim(1, -1).flatten(0, 2)
    assert torch.equal(class_ranks(rows), literal.class_ranks(rows))
