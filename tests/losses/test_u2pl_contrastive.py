"""U2PL's contrastive loss: ranks, anchors, negatives, prototypes and InfoNCE."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.losses.u2pl_contrastive import (
    anchor_mask,
    class_ranks,
    info_nce,
    negative_mask,
    prototypes,
    rank_bounds,
)

SEED_PIXEL = torch.tensor([[0.60, 0.18, 0.14, 0.03, 0.03, 0.02]], dtype=torch.float64)


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
    (expected,) = torch.autograd.grad(literal, again)
    assert float(loss.detach()) == pytest.approx(float(literal.detach()), rel=1e-5)
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_info_nce_without_any_class_is_a_differentiable_zero() -> None:
    rep = torch.randn(6, 4, requires_grad=True)
    none = torch.zeros(6, 3, dtype=torch.bool)
    loss = info_nce(
        rep, none, torch.zeros(3, 4), torch.zeros(3, 5, 4), torch.zeros(3, dtype=torch.bool), 2, 0.5
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss) == 0 and rep.grad is not None and not rep.grad.any()


def test_anchors_are_labelled_or_reliable_likely_pixels_of_their_class() -> None:
    probability = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.25, 0.75]])
    label, labelled_or_reliable = (
        torch.tensor([0, 1, 255, 0]),
        torch.tensor([True, False, True, True]),
    )
    assert (
        anchor_mask(label, probability, labelled_or_reliable, 0.3).tolist()
        == [[True, False]] + [[False, False]] * 3
    )


def test_prototypes_are_normalized_means_and_zero_for_absent_classes() -> None:
    rep = torch.tensor([[2.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    mask = torch.tensor([[True, False], [True, False], [False, False]])
    assert torch.allclose(prototypes(rep, mask), torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 0.0]]))
