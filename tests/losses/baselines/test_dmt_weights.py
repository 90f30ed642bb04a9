"""DMT's weight of a pseudo-label is that of the formula."""

from __future__ import annotations

import torch

from benchmarks import literal
from edgeseg.losses.baselines import dmt_weights
from tests.losses.loss_inputs import class_probabilities, every_number, some_labels


@every_number
def test_mutual_weight_is_that_of_the_formula(classes: int) -> None:
    torch.manual_seed(classes)
    inputs = (
        class_probabilities(2, classes, 4, 5),
        some_labels(classes, 2, 4, 5),
        torch.rand(2, 4, 5, dtype=torch.float64),
    )
    found = dmt_weights.mutual_weight(*inputs, 3, 5)
    torch.testing.assert_close(found, literal.mutual_weight(*inputs, 3, 5))
