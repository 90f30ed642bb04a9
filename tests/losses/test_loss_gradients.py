"""Every loss against its formula written out (benchmarks/literal.py), value and gradient, and what
all of them keep to.

A loss leaves its arguments alone, does not hear of ignored pixels, is a differentiable zero where
nothing counts and finite for bfloat16 inputs, with 2, 3, 4 or 21 classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import literal
from edgeseg.losses import ael_adaptive, consistency, corrmatch_correlation, fpl_fuzzy
from edgeseg.losses.baselines import adversarial, dmt_weights, gct_flaw
from edgeseg.losses.baselines.cac_directional import directional_contrast
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.losses.u2pl_contrastive import info_nce
from tests.losses.loss_inputs import class_probabilities, every_number, normal, some_labels

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class Case:
    """A loss: its inputs for C classes, of which the first `leaves` get gradients, and both ways to
    compute it.
    """

    inputs: Callable[[int], Inputs]
    ours: Callable[..., Tensor]
    theirs: Callable[..., Tensor]
    leaves: int = 1


def fuzzy_inputs(c: int) -> Inputs:
    return 2 * normal(2, c, 3, 4), fpl_fuzzy.fuzzy_positives(
        class_probabilities(2, c, 3, 4), 0.9, 3
    )


def labelled_inputs(c: int) -> Inputs:
    return normal(2, c, 3, 4), some_labels(c, 2, 3, 4), torch.rand(c, dtype=torch.float64) + 0.5


def directional_inputs(c: int) -> Inputs:
    p, n, d = 12, 9, 5
    sure = torch.rand(2, p, dtype=torch.float64)
    names = [
        some_labels(c, p),
        some_labels(c, p),
        torch.rand(p) < 0.8,
        normal(n, d),
        some_labels(c, n),
    ]
    return (normal(p, d), normal(p, d), *sure, *names)


def nce_inputs(c: int) -> Inputs:
    """Anchors of all classes but one, each the only one of its class, so there is no draw."""
    mask = torch.zeros(c + 2, c, dtype=torch.bool)
    mask[torch.arange(c - 1), torch.arange(c - 1)] = True
    goal, negative = F.normalize(normal(c, 6), dim=1), F.normalize(normal(c, 5, 6), dim=2)
    return normal(c + 2, 6), goal, negative, mask


def ours_nce(rep: Tensor, goal: Tensor, negative: Tensor, mask: Tensor) -> Tensor:
    return info_nce(rep, mask, goal, negative, mask.any(0), 3, 0.5)


def theirs_nce(rep: Tensor, goal: Tensor, negative: Tensor, mask: Tensor) -> Tensor:
    places = [mask[:, c].nonzero()[:, 0].tolist() for c in range(mask.shape[1])]
    return literal.info_nce(rep, places, goal, negative, 0.5)


CASES = {
    "cross_entropy": Case(labelled_inputs, cross_entropy, literal.cross_entropy),
    "fuzzy_loss": Case(fuzzy_inputs, fpl_fuzzy.fuzzy_loss, literal.fuzzy_loss),
    "squared_error": Case(
        lambda c: (normal(2, c, 3, 4), class_probabilities(2, c, 3, 4)),
        consistency.squared_error,
        literal.squared_error,
        2,
    ),
    "kl_divergence": Case(
        lambda c: (normal(2, c, 3, 4), normal(2, c, 3, 4)),
        consistency.kl_divergence,
        literal.kl_divergence,
        2,
    ),
    "soft_cross_entropy": Case(
        lambda c: (normal(2, c, 3, 4), class_probabilities(2, c, 3, 4)),
        consistency.soft_cross_entropy,
        literal.soft_cross_entropy,
    ),
    "self_correction": Case(
        lambda c: labelled_inputs(c)[:2],
        consistency.self_correction_loss,
        literal.self_correction_loss,
    ),
    "directional_contrast": Case(
        directional_inputs,
        partial(directional_contrast, confidence_threshold=0.3, temperature=0.5),
        partial(literal.directional_contrast, confidence_threshold=0.3, temperature=0.5),
        2,
    ),
    "info_nce": Case(nce_inputs, ours_nce, theirs_nce),
    "propagate": Case(
        lambda c: (normal(2, 5, 2, 3), normal(2, c, 2, 3)),
        corrmatch_correlation.propagate_logits,
        literal.propagate_logits,
        2,
    ),
    "discriminator_loss": Case(
        lambda c: (normal(2, 3, 4), normal(2, c, 4)),
        adversarial.discriminator_loss,
        literal.discriminator_loss,
        2,
    ),
    "adversarial_loss": Case(
        lambda c: (normal(2, c, 4),),
        adversarial.adversarial_loss,
        lambda z: -torch.log(1 / (1 + (-z).exp())).mean(),
    ),
    "feature_matching": Case(
        lambda c: (normal(3, c), normal(4, c)),
        lambda real, fake: adversarial.feature_matching(real, fake) + 0 * real.sum(),
        lambda real, fake: (real.detach().mean(0) - fake.mean(0)).abs().mean() + 0 * real.sum(),
        2,
    ),
    "flaw_loss": Case(
        lambda c: (normal(2, c, 4), normal(2, c, 4), torch.rand(2, c, 4) < 0.6),
        gct_flaw.flaw_loss,
        lambda found, target, valid: ((found - target) ** 2)[valid].mean(),
    ),
}


every_case = pytest.mark.parametrize("name", list(CASES))


def gradients(
    function: Callable[..., Tensor], inputs: Inputs, leaves: int, *, autocast: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """The value, and what comes back when its sum is weighted unevenly; as in the loop, backward is
    out of autocast.
    """
    inputs = tuple(one.clone() for one in inputs)
    sources = [one.requires_grad_(True) for one in inputs[:leaves]]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = function(*sources, *inputs[leaves:])
    weight = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view(value.shape)
    return value.detach(), list(torch.autograd.grad((weight * value).sum(), sources))


@every_case
@every_number
def test_value_and_gradient_are_those_of_the_formula(name: str, classes: int) -> None:
    torch.manual_seed(classes)
    case = CASES[name]
    inputs = case.inputs(classes)
    value, found = gradients(case.ours, inputs, case.leaves)
    expected, slopes = gradients(case.theirs, inputs, case.leaves)
    assert value.dtype == torch.float64
    torch.testing.assert_close(
        value, expected, rtol=1e-6, atol=1e-7
    )  # softplus gives up below e^-20
    for ours, theirs in zip(found, slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


@every_case
def test_arguments_are_left_alone(name: str) -> None:
    torch.manual_seed(0)
    inputs = CASES[name].inputs(4)
    before = [one.clone() for one in inputs]
    CASES[name].ours(*inputs)
    assert all(torch.equal(one, other) for one, other in zip(inputs, before, strict=True))


@every_case
@every_number
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_bfloat16_inputs_give_finite_losses_and_gradients(
    name: str, classes: int, scale: float
) -> None:
    torch.manual_seed(classes)
    case = CASES[name]
    inputs = case.inputs(classes)
    leaves = tuple((scale * one).bfloat16() for one in inputs[: case.leaves])
    others = tuple(
        one.bfloat16() if one.is_floating_point() else one for one in inputs[case.leaves :]
    )
    value, slopes = gradients(case.ours, leaves + others, case.leaves, autocast=True)
    assert value.dtype == torch.float32
    assert bool(value.isfinite().all()) and all(bool(slope.isfinite().all()) for slope in slopes)


@every_case
def test_autocast_changes_nothing(name: str) -> None:
    torch.manual_seed(1)
    case = CASES[name]
    inputs = tuple(one.float() if one.is_floating_point() else one for one in case.inputs(4))
    plain, slopes = gradients(case.ours, inputs, case.leaves)
    value, others = gradients(case.ours, inputs, case.leaves, autocast=True)
    torch.testing.assert_close(value, plain)
    for one, other in zip(others, slopes, strict=True):
        torch.testing.assert_close(one, other)


def test_ignored_pixels_do_not_count() -> None:
    torch.manual_seed(0)
    logits, label, weight = labelled_inputs(4)
    changed = torch.where((label == 255)[:, None], 9 * normal(*logits.shape), logits)
    for function, more in ((cross_entropy, (weight,)), (consistency.self_correction_loss, ())):
        one, slopes = gradients(function, (logits, label, *more), 1)
        other, _ = gradients(function, (changed, label, *more), 1)
        torch.testing.assert_close(one, other)
        assert not slopes[0][(label == 255)[:, None].expand_as(logits)].any()
    probability, sure = logits.softmax(1), torch.rand(label.shape)
    one = dmt_weights.mutual_weight(probability, label, sure, 3, 3)
    assert not one[label == 255].any() and bool(one[label != 255].any())
    bank, again = ael_adaptive.ConfidenceBank(4), ael_adaptive.ConfidenceBank(4)
    bank.update(probability, label)
    again.update(changed.softmax(1), label)
    assert torch.equal(bank.value, again.value)
    flaw = gct_flaw.flaw_target(probability, label)
    torch.testing.assert_close(flaw, gct_flaw.flaw_target(changed.softmax(1), label))


@every_number
def test_nothing_that_counts_is_a_differentiable_zero(classes: int) -> None:
    logits, places = torch.randn(1, classes, 2, 3), torch.randn(6, 4)
    none, nowhere = torch.full((1, 2, 3), 255), torch.zeros(6, dtype=torch.bool)
    row, zero = torch.zeros(6, dtype=torch.int64), torch.zeros(0)
    empty = torch.zeros(6, classes, dtype=torch.bool)
    losses: list[tuple[Callable[..., Tensor], Tensor]] = [
        (lambda z: cross_entropy(z, none), logits),
        (lambda z: consistency.self_correction_loss(z, none).sum(), logits),
        (lambda z: fpl_fuzzy.fuzzy_loss(z, torch.zeros_like(z, dtype=torch.bool)).sum(), logits),
        (lambda z: fpl_fuzzy.fuzzy_loss(z, torch.ones_like(z, dtype=torch.bool)).sum(), logits),
        (
            lambda r: directional_contrast(
                r, r + 1, row.float(), row + 1.0, row, row, nowhere, r, row
            ),
            places,
        ),
        (
            lambda r: directional_contrast(
                r, r + 1, row + 0.1, row + 1.0, row, row, ~nowhere, r[:0], row[:0]
            ),
            places,
        ),
        (
            lambda r: directional_contrast(
                r[:0], r[:0], zero, zero, row[:0], row[:0], nowhere[:0], r, row
            ),
            places,
        ),
        (
            lambda r: info_nce(
                r, empty, torch.zeros(classes, 4), torch.zeros(classes, 5, 4), empty[0], 2, 0.5
            ),
            places,
        ),
        (
            lambda z: gct_flaw.flaw_loss(z[:, 0], z[:, 1], torch.zeros(1, 2, 3, dtype=torch.bool)),
            logits,
        ),
        (lambda z: adversarial.adversarial_loss(z, torch.zeros_like(z, dtype=torch.bool)), logits),
    ]
    for function, source in losses:
        value, (slope,) = gradients(function, (source,), 1)
        assert float(value) == 0 and not slope.any() and bool(slope.isfinite().all())
