"""Every loss against its formula written out (benchmarks/literal.py), value and gradient, and what
all of them keep to.

A loss leaves its arguments alone, does not hear of ignored pixels, is a differentiable zero where
nothing counts and finite for bfloat16 inputs, with 2, 3, 4 or 21 classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import literal
from edgeseg.losses import adversarial, consistency, gct_flaw
from edgeseg.losses import ael_adaptive as equalize
from edgeseg.losses import corrmatch_correlation as correlation
from edgeseg.losses import dmt_weights as agreement
from edgeseg.losses import fpl_fuzzy as fuzzy
from edgeseg.losses import stpp_ranking as stability
from edgeseg.losses.cac_directional import directional_contrast
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.losses.entropy import entropy, percentile_threshold
from edgeseg.losses.u2pl_contrastive import class_ranks, info_nce
from edgeseg.methods.framework import feature_perturbation as perturb

CLASSES = (2, 3, 4, 21)
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


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def chances(*shape: int) -> Tensor:
    return (2 * normal(*shape)).softmax(1)


def some_labels(classes: int, *shape: int) -> Tensor:
    label = torch.randint(0, classes, shape)
    label[..., 0] = 255
    return label


def fuzzy_inputs(c: int) -> Inputs:
    return 2 * normal(2, c, 3, 4), fuzzy.fuzzy_positives(chances(2, c, 3, 4), 0.9, 3)


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
    """As many anchors as classes less one, each the only one of its class: drawing has no choice."""
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
    "fuzzy_loss": Case(fuzzy_inputs, fuzzy.fuzzy_loss, literal.fuzzy_loss),
    "squared_error": Case(
        lambda c: (normal(2, c, 3, 4), chances(2, c, 3, 4)),
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
        lambda c: (normal(2, c, 3, 4), chances(2, c, 3, 4)),
        consistency.soft_cross_entropy,
        literal.soft_cross_entropy,
    ),
    "symmetric_cross_entropy": Case(
        lambda c: labelled_inputs(c)[:2],
        lambda z, y: consistency.symmetric_cross_entropy(z, y, scale=4.0),
        lambda z, y: literal.symmetric_cross_entropy(z, y, 4.0),
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
        correlation.propagate_logits,
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
every_number = pytest.mark.parametrize("classes", CLASSES)


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
    wanted, slopes = gradients(case.theirs, inputs, case.leaves)
    assert value.dtype == torch.float64
    torch.testing.assert_close(value, wanted, rtol=1e-6, atol=1e-7)  # softplus gives up below e^-20
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
    for function, more in ((cross_entropy, (weight,)), (consistency.symmetric_cross_entropy, ())):
        one, slopes = gradients(function, (logits, label, *more), 1)
        other, _ = gradients(function, (changed, label, *more), 1)
        torch.testing.assert_close(one, other)
        assert not slopes[0][(label == 255)[:, None].expand_as(logits)].any()
    probability, sure = logits.softmax(1), torch.rand(label.shape)
    one = agreement.mutual_weight(probability, label, sure, 3, 3)
    assert not one[label == 255].any() and bool(one[label != 255].any())
    bank, again = equalize.ConfidenceBank(4), equalize.ConfidenceBank(4)
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
        (lambda z: consistency.symmetric_cross_entropy(z, none).sum(), logits),
        (lambda z: fuzzy.fuzzy_loss(z, torch.zeros_like(z, dtype=torch.bool)).sum(), logits),
        (lambda z: fuzzy.fuzzy_loss(z, torch.ones_like(z, dtype=torch.bool)).sum(), logits),
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


@every_number
def test_fuzzy_positives_and_weights_are_those_of_the_formula(classes: int) -> None:
    torch.manual_seed(classes)
    probability = chances(2, classes, 5, 6)
    for mass in (0.5, 0.9, 1.0):
        positives = fuzzy.fuzzy_positives(probability, mass, 3)
        assert torch.equal(positives, literal.fuzzy_positives(probability, mass, 3))
        number = positives.sum(1)
        assert int(number.min()) >= 1 and int(number.max()) <= min(3, classes - 1)
        modes: tuple[fuzzy.FuzzyMode, ...] = ("none", "linear", "convex", "concave")
        for mode in modes:
            weight = fuzzy.fuzzy_weight(probability, positives, mode)
            torch.testing.assert_close(weight, literal.fuzzy_weight(probability, positives, mode))
            assert float(weight.min()) >= 0 and float(weight.max()) <= 1


def test_fuzzy_loss_with_one_positive_is_cross_entropy_and_flat_targets_still_leave_a_negative() -> (
    None
):
    torch.manual_seed(0)
    logits = normal(1, 5, 3, 3)
    one = fuzzy.fuzzy_positives(chances(1, 5, 3, 3), 0.01, 3)
    wanted = F.cross_entropy(logits, one.int().argmax(1), reduction="none")
    torch.testing.assert_close(fuzzy.fuzzy_loss(logits, one), wanted)
    flat = fuzzy.fuzzy_positives(torch.full((1, 3, 2, 2), 1 / 3), 1.0, 9)
    assert flat[0, :, 0, 0].tolist() == [True, True, False]


def test_entropy_threshold_and_ranks_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    probability = chances(2, 5, 12, 13)
    found, valid = entropy(probability), torch.rand(2, 12, 13) < 0.8
    torch.testing.assert_close(found, literal.entropy(probability))
    assert float(percentile_threshold(found, valid, 0.2)) == pytest.approx(
        literal.percentile_threshold(found, valid, 0.2), abs=2e-3
    )
    rows = probability.movedim(1, -1).flatten(0, 2)
    assert torch.equal(class_ranks(rows), literal.class_ranks(rows))


@every_number
def test_equalizing_is_that_of_the_formula(classes: int) -> None:
    torch.manual_seed(classes)
    bank, other = equalize.ConfidenceBank(classes, 0.9), literal.ConfidenceBank(classes, 0.9)
    for _ in range(15):
        probability, label = chances(2, classes, 3, 4), some_labels(classes, 2, 3, 4)
        label[label == classes - 1] = 255  # a class that never comes keeps its start
        bank.update(probability, label)
        other.update(probability, label)
    assert (
        bank.value.tolist() == pytest.approx(other.value, abs=1e-6)
        and bank.seen.tolist() == other.seen
    )
    assert float(bank.value[-1]) == 0.5 and int(bank.seen[-1]) == 0
    for power in (0.5, 1.0):
        wanted = literal.class_sampling_probabilities(other.value, power)
        assert equalize.class_sampling_probabilities(bank.value, power).tolist() == pytest.approx(
            wanted, abs=1e-6
        )
        wanted = literal.equalization_sampling_rates(other.value, power)
        assert equalize.equalization_sampling_rates(bank.value, power).tolist() == pytest.approx(
            wanted, abs=1e-5
        )


def test_keep_chances_have_a_floor_and_no_zero_over_zero() -> None:
    assert equalize.equalization_sampling_rates(torch.tensor([1.0, 0.0])).tolist() == pytest.approx(
        [0.05, 1.0]
    )
    assert equalize.equalization_sampling_rates(torch.ones(3)).tolist() == [1.0, 1.0, 1.0]


def test_disagreement_weight_is_one_for_equals_and_carries_no_gradient() -> None:
    torch.manual_seed(0)
    one, other = normal(1, 4, 3, 3).requires_grad_(True), normal(1, 4, 3, 3)
    weight = consistency.agreement_weight(one, other)
    assert not weight.requires_grad and float(weight.max()) < 1
    torch.testing.assert_close(weight, (-literal.kl_divergence(one.detach(), other)).exp())
    assert bool((consistency.agreement_weight(one, one) == 1).all())


@every_number
def test_mutual_weight_is_that_of_the_formula(classes: int) -> None:
    torch.manual_seed(classes)
    inputs = (
        chances(2, classes, 4, 5),
        some_labels(classes, 2, 4, 5),
        torch.rand(2, 4, 5, dtype=torch.float64),
    )
    found = agreement.mutual_weight(*inputs, 3, 5)
    torch.testing.assert_close(found, literal.mutual_weight(*inputs, 3, 5))


@every_number
def test_stability_is_that_of_the_formula(classes: int) -> None:
    rng = np.random.default_rng(classes)
    masks = [rng.integers(0, classes, (6, 7)).astype(np.uint8) for _ in range(4)]
    assert stability.stability(masks, classes + 1) == pytest.approx(
        literal.stability(masks, classes + 1)
    )
    assert stability.stability([masks[0]] * 3, classes) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="2 or more"):
        stability.stability(masks[:1], classes)


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


def test_the_adaptive_threshold_follows_the_mean_of_the_largest_confidence_of_each_class() -> None:
    adaptive = correlation.AdaptiveThreshold(0.8, 0.9)
    confidence = torch.tensor([[[0.5, 0.7, 0.99], [0.9, 0.95, 0.1]]])
    label, valid = (
        torch.tensor([[[0, 0, 1], [2, 2, 255]]]),
        torch.tensor([[[True, True, False], [True, True, True]]]),
    )
    adaptive.update(confidence, label, valid)
    assert float(adaptive.value) == pytest.approx(0.9 * 0.8 + 0.1 * (0.7 + 0.95) / 2)
    before = adaptive.value.clone()
    adaptive.update(confidence, label, torch.zeros_like(valid))
    assert torch.equal(adaptive.value, before)


def test_regions_grow_where_their_confident_pixels_agree() -> None:
    torch.manual_seed(0)
    features = torch.zeros(1, 3, 4, 6)
    features[:, 0, :, :2], features[:, 1, :, 2:4], features[:, 2, :, 4:] = (
        9,
        9,
        9,
    )  # three regions of eight places
    label = torch.zeros(1, 8, 12, dtype=torch.int64)  # labels at twice the features' size
    label[:, :, 4:8], label[:, :, 8:] = 1, 2
    label[:, :2, :2] = 3  # an island of another class inside a region that is otherwise sure
    confidence, valid = torch.full((1, 8, 12), 0.95), torch.ones(1, 8, 12, dtype=torch.bool)
    confidence[:, :2, :4] = 0.1
    confidence[:, :7, 4:8] = 0.1  # too few are sure here
    label[:, 4:, 8:] = 4  # they do not agree here
    valid[:, 7, 0] = False
    before = label.clone()
    found, reached = correlation.propagate_labels(
        features, label, confidence, valid, 0.7, 24, classes=5
    )
    assert torch.equal(label, before)
    assert bool((found[:, :, :4][valid[:, :, :4]] == 0).all()) and torch.equal(
        reached[:, :, :4], valid[:, :, :4]
    )
    assert torch.equal(found[:, :, 4:], label[:, :, 4:]) and not reached[:, :, 4:].any()
    everything = correlation.propagate_labels(
        features, label, confidence, valid, torch.tensor(0.7), 24
    )
    assert torch.equal(everything[0], found) and torch.equal(everything[1], reached)
    nothing = correlation.propagate_labels(
        features, label, confidence, torch.zeros_like(valid), 0.7, 24, classes=5
    )
    assert torch.equal(nothing[0], label) and not nothing[1].any()


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
    one, other = torch.tensor([0.1, 0.7, 0.7, 0.9, 0.5]), torch.tensor([0.3, 0.2, 0.8, 0.7, 0.5])
    first, second, both = gct_flaw.dynamic_consistency_masks(one, other)
    assert first.tolist() == [False, True, False, False, False]
    assert second.tolist() == [True, False, False, False, False]
    assert both.tolist() == [False, False, True, True, False]
    assert adversarial.judged_real(torch.tensor([-2.0, 0.0, 3.0]), 0.2).tolist() == [
        False,
        True,
        True,
    ]


class Decoder(torch.nn.Module):
    """Reads the second of two levels; nearly all of its answer hangs on one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.nn.Conv2d(6, 3, 1)
        with torch.no_grad():
            self.last.weight[:, 2] *= 100

    def forward(self, maps: list[Tensor]) -> Tensor:
        answer: Tensor = self.last(maps[1])
        return answer


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_adversarial_noise_finds_what_the_decoder_listens_to(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    decoder = Decoder()
    features = [
        torch.randn(2, 4, 6, 6, dtype=dtype),
        (0.1 * torch.randn(2, 6, 3, 3)).to(dtype).requires_grad_(True),
    ]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        moved = perturb.adversarial_noise(decoder, features, 0.1, 2.0)
    assert (
        all(parameter.grad is None for parameter in decoder.parameters())
        and features[1].grad is None
    )
    assert torch.equal(moved[0], features[0]) and moved[1].dtype == dtype
    push = (moved[1] - features[1]).detach().float()
    assert push.flatten(1).norm(dim=1).tolist() == pytest.approx([2.0, 2.0], rel=0.02)
    assert float(push[:, 2].square().sum() / push.square().sum()) > 0.99
    again = perturb.adversarial_noise(decoder, features, 0.1, 2.0)[1]
    (slope,) = torch.autograd.grad(again.sum(), features[1])
    assert bool((slope == 1).all())


def test_perturbations_keep_shapes_and_leave_the_features_alone() -> None:
    torch.manual_seed(0)
    features = [torch.rand(3, 8, 5, 6), torch.rand(3, 0, 4, 4), torch.rand(3, 16, 2, 2).bfloat16()]
    before = [maps.clone() for maps in features]
    views = [
        *perturb.complementary_dropout(features),
        perturb.channel_dropout(features),
        perturb.feature_noise(features),
        perturb.feature_drop(features),
        *perturb.complementary_dropout([maps[:1] for maps in features]),
    ]
    assert all(torch.equal(one, other) for one, other in zip(features, before, strict=True))
    for view in views:
        assert [maps.shape[1:] for maps in view] == [maps.shape[1:] for maps in features]
        assert [maps.dtype for maps in view] == [maps.dtype for maps in features]
        assert not torch.equal(view[0], features[0][: len(view[0])])
    share = perturb.feature_noise(features)[0] / features[0]
    assert float(share.min()) >= 0.7 - 1e-5 and float(share.max()) <= 1.3 + 1e-5
    dropped = perturb.feature_drop(features)[0]
    attention, gone = features[0].mean(1), (dropped == 0).all(1)
    for frame in range(3):
        assert (
            gone[frame].any()
            and float(attention[frame][gone[frame]].min()) > float(attention[frame].max()) * 0.7
        )
        assert float(attention[frame][~gone[frame]].max()) < float(
            attention[frame][gone[frame]].min()
        )
