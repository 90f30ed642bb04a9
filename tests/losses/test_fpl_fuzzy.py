"""Fuzzy positives, their loss and their weights are those of the formulas."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from benchmarks import literal
from edgeseg.losses import fpl_fuzzy
from tests.losses.loss_inputs import class_probabilities, every_number, normal


@every_number
def test_fuzzy_positives_and_weights_are_those_of_the_formula(classes: int) -> None:
    torch.manual_seed(classes)
    probability = class_probabilities(2, classes, 5, 6)
    for mass in (0.5, 0.9, 1.0):
        positives = fpl_fuzzy.fuzzy_positives(probability, mass, 3)
        assert torch.equal(positives, literal.fuzzy_positives(probability, mass, 3))
        number = positives.sum(1)
        assert int(number.min()) >= 1 and int(number.max()) <= min(3, classes - 1)
        modes: tuple[fpl_fuzzy.FuzzyMode, ...] = ("none", "linear", "convex", "concave")
        for mode in modes:
            weight = fpl_fuzzy.fuzzy_weight(probability, positives, mode)
            torch.testing.assert_close(weight, literal.fuzzy_weight(probability, positives, mode))
            assert float(weight.min()) >= 0 and float(weight.max()) <= 1


def test_one_positive_makes_cross_entropy_and_flat_targets_leave_a_negative() -> None:
    torch.manual_seed(0)
    logits = normal(1, 5, 3, 3)
    one = fpl_fuzzy.fuzzy_positives(class_probabilities(1, 5, 3, 3), 0.01, 3)
    expected = F.cross_entropy(logits, one.int().argmax(1), reduction="none")
    torch.testing.assert_close(fpl_fuzzy.fuzzy_loss(logits, one), expected)
    flat = fpl_fuzzy.fuzzy_positives(torch.full((1, 3, 2, 2), 1 / 3), 1.0, 9)
    assert flat[0, :, 0, 0].tolist() == [True, True, False]
