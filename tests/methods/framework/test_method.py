"""Class weights, which every method has for labelled pixels alone."""

from __future__ import annotations

import pytest
import torch

from edgeseg.methods import METHODS
from tests.helpers.methods import method_context


@pytest.mark.parametrize("name", ["cutmix_mt", "u2pl", "ael", "cps_cutmix"])
def test_class_weights_are_of_labelled_pixels_alone(name: str) -> None:
    """On pseudo-labels, which carry the teacher's bias already, they let rare classes grow without
    end.
    """
    from edgeseg.methods import Batch, StepResult

    torch.manual_seed(0)
    method = METHODS[name](method_context(3, torch.tensor([100.0, 10.0, 1.0]), method=name)).eval()
    everywhere = torch.ones(2, 64, 64, dtype=torch.bool)
    batch = Batch(torch.rand(2, 3, 64, 64), torch.randint(0, 3, (2, 64, 64)), everywhere)
    state = {key: value.clone() for key, value in method.state_dict().items()}

    def logs(weight: torch.Tensor) -> dict[str, torch.Tensor]:
        method.load_state_dict(state)
        method.class_weight.copy_(weight)
        torch.manual_seed(1)
        result: StepResult = method(batch, batch, 0.9)
        return result.logs

    once, other = logs(torch.ones(3)), logs(torch.tensor([2.0, 4.0, 8.0]))
    assert once["unlabelled"] > 0
    torch.testing.assert_close(other["unlabelled"], once["unlabelled"])
    assert other["supervised"] > 2 * once["supervised"]
