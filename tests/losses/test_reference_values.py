"""Losses against values that were computed by hand or with the papers' formulas in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from edgeseg.data.cutmix import mix_boxes, random_boxes
from edgeseg.losses.ael_adaptive import (
    ConfidenceBank,
    class_sampling_probabilities,
    confidence_weight,
    equalization_sampling_rates,
)
from edgeseg.losses.entropy import entropy, unreliable_share
from edgeseg.losses.fpl_fuzzy import fuzzy_loss, fuzzy_positives
from edgeseg.losses.stpp_ranking import stability
from edgeseg.losses.u2pl_contrastive import class_ranks, info_nce, negative_mask
from edgeseg.methods.framework.feature_perturbation import complementary_dropout

SEED_PIXEL = torch.tensor([0.60, 0.18, 0.14, 0.03, 0.03, 0.02], dtype=torch.float64)
CONFIDENCE = torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64)


def maps(values: Tensor) -> Tensor:
    """(C,) as the (1, C, 1, 1) of a single pixel."""
    return values[None, :, None, None]


def test_entropy_of_the_seeds_pixel() -> None:
    assert float(entropy(maps(SEED_PIXEL))) * math.log(6) == pytest.approx(1.17905, abs=5e-6)
    assert float(entropy(maps(SEED_PIXEL))) == pytest.approx(0.65804, abs=5e-6)


def test_ranks_of_the_seeds_pixel_and_what_it_is_a_negative_of() -> None:
    found = class_ranks(SEED_PIXEL[None])[0].tolist()
    assert found[:3] == [0, 1, 2] and sorted(found[3:5]) == [3, 4] and found[5] == 5
    no, yes = torch.tensor([False]), torch.tensor([True])
    mask = negative_mask(torch.tensor([255]), SEED_PIXEL[None], no, yes, 3, 6)
    assert mask.tolist() == [[False, False, False, True, True, True]]


@pytest.mark.parametrize(("mass", "number"), [(0.5, 1), (0.75, 1), (0.9, 2), (0.93, 3)])
def test_fuzzy_positives(mass: float, number: int) -> None:
    found = fuzzy_positives(maps(SEED_PIXEL), mass, 3)[0, :, 0, 0]
    assert found.tolist() == [place < number for place in range(6)]


@pytest.mark.parametrize(
    ("positives", "value", "gradient"),
    [
        ([True, True, False, False], 0.523744, [-0.109648, -0.298053, 0.298053, 0.109648]),
        ([True, False, False, False], 0.440190, [-0.356086, 0.236883, 0.087144, 0.032059]),
    ],
)
def test_fuzzy_loss_and_gradient(
    positives: list[bool], value: float, gradient: list[float]
) -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64, requires_grad=True)
    loss = fuzzy_loss(maps(logits), maps(torch.tensor(positives))).sum()
    (found,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == pytest.approx(value, abs=5e-7)
    assert found.tolist() == pytest.approx(gradient, abs=5e-7)
    if positives[1]:
        assert float(found[0] / found[:2].sum()) == pytest.approx(0.268941, abs=5e-7)
    else:
        assert value == pytest.approx(
            -math.log(math.exp(2) / sum(math.exp(z) for z in (2, 1, 0, -1))), abs=5e-7
        )


@pytest.mark.parametrize(("temperature", "value"), [(0.5, 0.142932), (0.1, 4.540e-5)])
def test_info_nce(temperature: float, value: float) -> None:
    east = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    negative = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]], dtype=torch.float64)
    one = torch.ones(1, 1, dtype=torch.bool)
    loss = info_nce(3 * east, one, east, negative, torch.tensor([True]), 4, temperature)
    assert loss.dtype == torch.float64
    assert float(loss) == pytest.approx(value, rel=1e-5 if temperature == 0.5 else 2e-4)


@pytest.mark.parametrize(("step", "share"), [(0, 0.2), (20, 0.15), (40, 0.1), (79, 0.0025)])
def test_dynamic_partition(step: int, share: float) -> None:
    assert unreliable_share(0.2, step / 80) == pytest.approx(share)


@pytest.mark.parametrize(
    ("seen", "most", "keep"),
    [
        (0, 0.99, 0),
        (1, 0.99, 0.5),
        (9, 0.99, 0.9),
        (99, 0.999, 0.99),
        (1000, 0.99, 0.99),
        (1000, 0.996, 0.996),
    ],
)
def test_warm_average_of_the_confidence_bank(seen: int, most: float, keep: float) -> None:
    bank = ConfidenceBank(2, most)
    bank.value.fill_(1.0)
    bank.seen.fill_(seen)
    bank.update(torch.tensor([0.0, 1.0]).view(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64))
    assert bank.value.tolist() == pytest.approx([keep, 1.0], abs=1e-6)
    assert bank.seen.tolist() == [seen + 1, seen]


def test_stability_of_three_checkpoints() -> None:
    first, last = np.array([[0, 0], [1, 1]], np.uint8), np.array([[0, 1], [1, 1]], np.uint8)
    assert stability([first, last], 3) == pytest.approx(0.583333, abs=5e-7)
    assert stability([first, last, last], 3) == pytest.approx(1.583333, abs=5e-7)


def test_class_chances() -> None:
    assert class_sampling_probabilities(CONFIDENCE, 1.0).tolist() == pytest.approx(
        [0.2397, 0.3236, 0.4368], abs=6e-5
    )
    assert class_sampling_probabilities(CONFIDENCE, 0.5).tolist() == pytest.approx(
        [0.2466, 0.3384, 0.4150], abs=6e-5
    )


def test_keep_chances_and_confidence_weights() -> None:
    assert equalization_sampling_rates(CONFIDENCE).tolist() == pytest.approx(
        [0.1429, 0.5714, 1.0], abs=6e-5
    )
    weight = confidence_weight(CONFIDENCE)
    assert (weight / weight.sum()).tolist() == pytest.approx([0.6429, 0.2857, 0.0714], abs=6e-5)


def test_complementary_dropout_adds_up_and_leaves_half_of_the_samples_alone() -> None:
    torch.manual_seed(0)
    levels = [
        torch.ones(6, 64, 3, 4, dtype=torch.float64),
        torch.ones(6, 0, 3, 4),
        torch.ones(6, 32, 2, 2),
    ]
    one, other = complementary_dropout(levels)
    for whole, first, second in zip(levels, one, other, strict=True):
        assert torch.equal(first + second, 2 * whole)
    untouched = (one[0] == 1).flatten(1).all(1)
    assert int(untouched.sum()) == 3
    assert torch.equal(untouched, (one[2] == 1).flatten(1).all(1)) and bool(
        (other[0][untouched] == 1).all()
    )
    doubled = one[0][~untouched]
    assert set(doubled.flatten().tolist()) == {0.0, 2.0}
    assert bool((doubled.amin((2, 3)) == doubled.amax((2, 3))).all())  # whole channels
    assert not torch.equal(one[0][:, :32, 0, 0], one[2][:, :, 0, 0])  # each level its own channels
    assert float(doubled.mean()) == pytest.approx(1.0, abs=0.25)
    views = [complementary_dropout([torch.ones(8, 512, 1, 1)])[0][0].mean() for _ in range(20)]
    assert float(torch.stack(views).mean()) == pytest.approx(1.0, abs=0.02)


def test_complementary_dropout_can_share_channels_over_levels() -> None:
    one, _ = complementary_dropout([torch.ones(4, 16, 2, 2), torch.ones(4, 16, 1, 1)], shared=True)
    assert torch.equal(one[0][:, :, :1, :1], one[1])


def test_cutmix_moves_everything_of_a_pixel_together() -> None:
    torch.manual_seed(0)
    source = torch.arange(4)[:, None, None].expand(4, 24, 32)  # which sample owns the pixel
    values = torch.arange(4 * 24 * 32).view(4, 24, 32)
    box = random_boxes(4, 24, 32, torch.device("cpu"))
    owner = torch.where(box, (source + 1) % 4, source)
    expected = values.gather(0, owner)  # the same place of the sample that owns it
    assert torch.equal(mix_boxes(values, box), expected)
    assert torch.equal(
        mix_boxes(values[:, None].expand(4, 3, 24, 32), box), expected[:, None].expand(4, 3, 24, 32)
    )
    assert torch.equal(mix_boxes(values % 7 == 0, box), expected % 7 == 0)
    assert torch.equal(mix_boxes(values.double() / 9, box), expected.double() / 9)
    nothing = torch.zeros_like(box)
    assert torch.equal(mix_boxes(values, nothing), values)
    assert torch.equal(mix_boxes(values, ~nothing), values.roll(-1, 0))
