"""The optimizer, the learning-rate schedule with its warm-up, and gradient clipping.

AdamW has one learning rate for encoders and one for the rest. A step whose numbers are not finite
is refused before it changes the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from edgeseg.config import LoopConfig
from edgeseg.errors import NonFiniteLossError
from edgeseg.methods import Method
from edgeseg.models import Network

GRADIENT_NORM = 5.0  # gradients beyond it are scaled down; a good step has a norm of about 1
LR_WARMUP = 0.03  # share of the steps in which the learning rate rises from 0
LR_POWER = 0.9  # of the polynomial decay, the usual one in segmentation


def make_optimizer(method: Method, config: LoopConfig) -> torch.optim.AdamW:
    """AdamW over all that the method trains, in the groups of `parameter_groups`."""
    groups = parameter_groups(method, config.encoder_lr, config.decoder_lr)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, foreach=True)


def parameter_groups(
    method: Method, encoder_lr: float, decoder_lr: float
) -> list[dict[str, object]]:
    """Split the trained parameters into those of all encoders of the method, and the rest.

    Returns:
        One group for each of the two that has parameters, by `name`; `base_lr` is the peak of its
        schedule.
    """
    encoders = [module.encoder for module in method.modules() if isinstance(module, Network)]
    of_encoders = {id(parameter) for encoder in encoders for parameter in encoder.parameters()}
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    split = {
        "encoder": ([each for each in trained if id(each) in of_encoders], encoder_lr),
        "decoder": ([each for each in trained if id(each) not in of_encoders], decoder_lr),
    }
    return [
        {"params": params, "lr": rate, "base_lr": rate, "name": name}
        for name, (params, rate) in split.items()
        if params
    ]


def learning_rate_factor(progress: float) -> float:
    """The learning-rate schedule: a linear warm-up, then a polynomial decay to 0.

    Args:
        progress: share of the steps that are done, from 0 to below 1.

    Returns:
        The factor of the peak rate: 0.03 at the first step, about 0.97 at the end of the warm-up,
        0.54 in the middle of the run.
    """
    warmup = min(1.0, (progress + 1e-3) / LR_WARMUP)
    return warmup * float((1 - progress) ** LR_POWER)


def set_learning_rate(optimizer: Optimizer, progress: float) -> None:
    """Give every parameter group the rate that the schedule has at `progress` (0..1)."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * learning_rate_factor(progress)


def learning_rates(optimizer: Optimizer) -> dict[str, float]:
    """Return the rate of the last step by "learning_rate/<group>"."""
    return {
        f"learning_rate/{group['name']}": float(group["lr"]) for group in optimizer.param_groups
    }


def clip_gradients(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Scale all gradients down to a joint norm of GRADIENT_NORM; returns the norm before, ()."""
    return nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM, foreach=True)


def require_finite(norm: Tensor, loss: Tensor, step: int, frames: Sequence[str]) -> None:
    """Refuse a step before the optimizer and the teacher's average see its numbers.

    Args:
        norm: () of the gradients.
        loss: () without gradient.
        step: counted from 0; the message counts from 1.
        frames: ids of the frames in the batch.

    Raises:
        NonFiniteLossError: the loss or the norm is infinite or not a number.
    """
    if bool(torch.isfinite(norm + loss)):
        return
    raise NonFiniteLossError(
        f"the loss is not finite at step {step + 1} with the frames {', '.join(frames)}; "
        "start a new run with a lower encoder_lr and decoder_lr, or with precision 32"
    )
