"""AEL's confidence bank and sampling are those of the formulas."""

from __future__ import annotations

import pytest
import torch

from benchmarks import literal
from edgeseg.losses import ael_adaptive
from tests.losses.loss_inputs import class_probabilities, every_number, some_labels


@every_number
def test_equalizing_is_that_of_the_formula(classes: int) -> None:
    torch.manual_seed(classes)
    bank, other = ael_adaptive.ConfidenceBank(classes, 0.9), literal.ConfidenceBank(classes, 0.9)
    for _ in range(15):
        probability, label = class_probabilities(2, classes, 3, 4), some_labels(classes, 2, 3, 4)
        label[label == classes - 1] = 255  # a class that never comes keeps its start
        bank.update(probability, label)
        other.update(probability, label)
    assert (
        bank.value.tolist() == pytest.approx(other.value, abs=1e-6)
        and bank.seen.tolist() == other.seen
    )
    assert float(bank.value[-1]) == 0.5 and int(bank.seen[-1]) == 0
    for power in (0.5, 1.0):
        expected = literal.class_sampling_probabilities(other.value, power)
        assert ael_adaptive.class_sampling_probabilities(
            bank.value, power
        ).tolist() == pytest.approx(expected, abs=1e-6)
        expected = literal.equalization_sampling_rates(other.value, power)
        assert ael_adaptive.equalization_sampling_rates(
            bank.value, power
        ).tolist() == pytest.approx(expected, abs=1e-5)


def test_keep_chances_have_a_floor_and_no_zero_over_zero() -> None:
    assert ael_adaptive.equalization_sampling_rates(
        torch.tensor([1.0, 0.0])
    ).tolist() == pytest.approx([0.05, 1.0])
    assert ael_adaptive.equalization_sampling_rates(torch.ones(3)).tolist() == [1.0, 1.0, 1.0]
