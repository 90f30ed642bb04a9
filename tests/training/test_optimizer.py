"""The learning-rate schedule, parameter groups and the guard against non-finite numbers."""

from __future__ import annotations

import pytest
import torch

from edgeseg.errors import TrainError
from edgeseg.methods import METHODS
from edgeseg.training.optimizer import (
    GRADIENT_NORM,
    clip_gradients,
    learning_rate_factor,
    make_optimizer,
    require_finite,
    set_learning_rate,
)
from tests.helpers.methods import method_context


@pytest.mark.parametrize(
    ("progress", "factor"), [(0.0, 1 / 30), (0.01, 0.363), (0.03, 0.973), (0.5, 0.536)]
)
def test_the_learning_rate_warms_up_and_then_decays(progress: float, factor: float) -> None:
    assert learning_rate_factor(progress) == pytest.approx(factor, abs=1e-3)


def test_encoders_have_a_learning_rate_of_their_own() -> None:
    context = method_context(3, method="cps", encoder_lr=1e-4, decoder_lr=1e-3)
    method = METHODS["cps"](context)
    optimizer = make_optimizer(method, context.config)
    of_encoders, others = optimizer.param_groups
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    assert len(of_encoders["params"]) + len(others["params"]) == len(trained)
    assert len(of_encoders["params"]) == 2 * len(list(method.student.encoder.parameters()))
    set_learning_rate(optimizer, 0.5)
    assert of_encoders["lr"] == 1e-4 * learning_rate_factor(0.5)
    assert others["lr"] == 1e-3 * learning_rate_factor(0.5)


def test_gradients_are_scaled_down_to_the_norm_and_never_up() -> None:
    parameter = torch.nn.Parameter(torch.zeros(4))
    for length, expected in ((10 * GRADIENT_NORM, GRADIENT_NORM), (1.0, 1.0)):
        parameter.grad = torch.tensor([length, 0.0, 0.0, 0.0])
        assert float(clip_gradients([parameter])) == pytest.approx(length)
        assert float(parameter.grad.norm()) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused_with_step_and_frames(bad: float) -> None:
    good = torch.tensor(1.0)
    require_finite(good, good, 0, ("f1",))
    for norm, loss in ((torch.tensor(bad), good), (good, torch.tensor(bad))):
        with pytest.raises(TrainError, match="not finite at step 8 with the frames f1, f2"):
            require_finite(norm, loss, 7, ("f1", "f2"))
