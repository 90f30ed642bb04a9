"""Losses: reference values of methods.md 7.4, literal versions of the formulas, and the guards for
odd batches.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.losses.cross_entropy import class_weights, cross_entropy
from edgeseg.losses.distillation import distillation_loss
from edgeseg.losses.entropy import (
    class_percentile_thresholds,
    entropy,
    percentile_threshold,
    unreliable_share,
)
from edgeseg.losses.memory_bank import MemoryBank
from edgeseg.losses.u2pl_contrastive import (
    anchor_mask,
    class_ranks,
    info_nce,
    negative_mask,
    prototypes,
    rank_bounds,
)

SEED_PIXEL = torch.tensor([[0.60, 0.18, 0.14, 0.03, 0.03, 0.02]], dtype=torch.float64)


def test_entropy_reference_value() -> None:
    maps = SEED_PIXEL[..., None, None]
    assert float(entropy(maps)) * math.log(6) == pytest.approx(1.17905, abs=1e-5)
    assert float(entropy(maps)) == pytest.approx(0.65804, abs=1e-5)


def test_entropy_of_a_certain_pixel_is_zero_and_of_an_even_one_is_one() -> None:
    maps = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])[..., None, None]
    assert entropy(maps).flatten().tolist() == pytest.approx([0.0, 1.0])


def test_ranks_are_the_inverse_of_an_argsort() -> None:
    assert class_ranks(SEED_PIXEL).tolist() == [[0, 1, 2, 3, 4, 5]]
    assert class_ranks(torch.tensor([[0.1, 0.7, 0.2]])).tolist() == [[2, 0, 1]]


def test_the_seeds_example_pixel_is_a_negative_for_the_unlikely_classes() -> None:
    label, labelled, unreliable = torch.tensor([255]), torch.tensor([False]), torch.tensor([True])
    found = negative_mask(label, SEED_PIXEL, labelled, unreliable, 3, 6)
    assert found.tolist() == [[False, False, False, True, True, True]]


def test_a_labelled_pixel_is_a_negative_for_the_classes_it_is_mistaken_for() -> None:
    found = negative_mask(
        torch.tensor([1]), SEED_PIXEL, torch.tensor([True]), torch.tensor([False]), 3, 6
    )
    assert found.tolist() == [[True, False, True, False, False, False]]


def test_a_reliable_unlabelled_pixel_with_pseudo_label_is_no_negative() -> None:
    found = negative_mask(
        torch.tensor([0]), SEED_PIXEL, torch.tensor([False]), torch.tensor([False]), 3, 6
    )
    assert not found.any()


@pytest.mark.parametrize(
    ("classes", "bounds"), [(2, (2, 2)), (3, (2, 3)), (4, (2, 4)), (11, (3, 11)), (21, (3, 20))]
)
def test_rank_bounds_leave_negatives_for_few_classes(classes: int, bounds: tuple[int, int]) -> None:
    assert rank_bounds(classes, 3, 20) == bounds


@pytest.mark.parametrize(("step", "share"), [(0, 0.2), (20, 0.15), (40, 0.1), (79, 0.0025)])
def test_partition_share_reference_values(step: int, share: float) -> None:
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


@pytest.mark.parametrize(("temperature", "value"), [(0.5, 0.142932), (0.1, 4.540e-5)])
def test_info_nce_reference_value(temperature: float, value: float) -> None:
    rep = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    negative = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])
    one = torch.ones(1, 1, dtype=torch.bool)
    loss = info_nce(
        rep, one, torch.tensor([[1.0, 0.0]]), negative, torch.tensor([True]), 5, temperature
    )
    assert float(loss) == pytest.approx(value, rel=1e-3)


def _literal(
    rep: Tensor, index: Tensor, positive: Tensor, negative: Tensor, temperature: float
) -> Tensor:
    """Equation 5, one anchor and one negative at a time."""
    total = torch.zeros((), dtype=rep.dtype)
    for c in range(len(positive)):
        for i in index[c]:
            anchor = rep[i] / rep[i].norm()
            attract = (anchor @ positive[c] / temperature).exp()
            repel = sum(((anchor @ n) / temperature).exp() for n in negative[c])
            total = total - (attract / (attract + repel)).log()
    return total / index.numel()


def test_info_nce_and_its_gradient_equal_the_formula_written_out() -> None:
    torch.manual_seed(0)
    rep = torch.randn(6, 4, requires_grad=True)
    mask = torch.zeros(6, 3, dtype=torch.bool)
    mask[[0, 1, 2], [0, 1, 2]] = True  # one candidate a class, so that drawing has no choice
    positive, negative = (
        F.normalize(torch.randn(3, 4), dim=1),
        F.normalize(torch.randn(3, 5, 4), dim=2),
    )
    loss = info_nce(rep, mask, positive, negative, torch.ones(3, dtype=torch.bool), 2, 0.5)
    (gradient,) = torch.autograd.grad(loss, rep)
    again = rep.detach().clone().requires_grad_(True)
    literal = _literal(again, torch.tensor([[0, 0], [1, 1], [2, 2]]), positive, negative, 0.5)
    (wanted,) = torch.autograd.grad(literal, again)
    assert float(loss.detach()) == pytest.approx(float(literal.detach()), rel=1e-5)
    assert torch.allclose(gradient, wanted, atol=1e-6)


def test_info_nce_without_any_class_is_a_differentiable_zero() -> None:
    rep = torch.randn(6, 4, requires_grad=True)
    none = torch.zeros(6, 3, dtype=torch.bool)
    loss = info_nce(
        rep, none, torch.zeros(3, 4), torch.zeros(3, 5, 4), torch.zeros(3, dtype=torch.bool), 2, 0.5
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss) == 0 and rep.grad is not None and not rep.grad.any()


def test_anchors_are_trusted_likely_pixels_of_their_class() -> None:
    probability = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.25, 0.75]])
    label, trusted = torch.tensor([0, 1, 255, 0]), torch.tensor([True, False, True, True])
    assert (
        anchor_mask(label, probability, trusted, 0.3).tolist()
        == [[True, False]] + [[False, False]] * 3
    )


def test_prototypes_are_normalized_means_and_zero_for_absent_classes() -> None:
    rep = torch.tensor([[2.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    mask = torch.tensor([[True, False], [True, False], [False, False]])
    assert torch.allclose(prototypes(rep, mask), torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 0.0]]))


def test_bank_is_first_in_first_out_per_class_and_draws_only_what_it_holds() -> None:
    torch.manual_seed(0)
    bank = MemoryBank(2, 4, 2)
    east, north = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    first = torch.tensor([[True, False]])
    for _ in range(3):
        bank.push(east, first, 8)
    assert bank.size.tolist() == [3, 0]
    assert torch.equal(bank.draw(6)[0], east.expand(6, 2))
    assert not bank.draw(6)[1].any()
    for _ in range(4):
        bank.push(north, first, 8)
    assert bank.size.tolist() == [4, 0] and bank.pointer.tolist() == [3, 0]
    assert torch.allclose(bank.draw(6)[0], F.normalize(north, dim=1).expand(6, 2))


def test_bank_keeps_no_more_than_asked_from_one_push() -> None:
    bank = MemoryBank(1, 100, 3)
    bank.push(torch.randn(50, 3), torch.ones(50, 1, dtype=torch.bool), 7)
    assert bank.size.tolist() == [7]


def test_cross_entropy_ignores_ignored_pixels_and_leaves_its_arguments_alone() -> None:
    logits, target = torch.randn(1, 3, 2, 2), torch.tensor([[[0, 255], [2, 255]]])
    before = logits.clone(), target.clone()
    loss = cross_entropy(logits, target)
    wanted = (
        F.cross_entropy(logits[:, :, 0, 0], target[:, 0, 0])
        + F.cross_entropy(logits[:, :, 1, 0], target[:, 1, 0])
    ) / 2
    assert float(loss) == pytest.approx(float(wanted))
    assert torch.equal(logits, before[0]) and torch.equal(target, before[1])


def test_cross_entropy_with_nothing_to_count_is_a_differentiable_zero() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 2, 2), 255))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss) == 0 and logits.grad is not None and not logits.grad.any()


def test_class_weights_average_one_over_the_labelled_pixels() -> None:
    pixels = torch.tensor([900, 90, 10, 0])
    weight = class_weights(pixels, 0.4)
    assert float((weight * pixels).sum() / pixels.sum()) == pytest.approx(1, rel=1e-5)
    assert float(weight[2] / weight[0]) == pytest.approx(90**0.4, rel=1e-4)
    assert weight[3] == weight[2]
    assert torch.equal(class_weights(pixels, 0.0), torch.ones(4))


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
