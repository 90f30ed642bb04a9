"""The average of a student over time: how its weights follow, and where its batch norms take their statistics from."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edgeseg.losses.world import total, world_size
from edgeseg.models import Network

STATISTICS_MOMENTUM = 0.05  # of the teacher's batch norm: the last 20 or so passes


class Tracker:
    """While entered, the batch norms of an eval-mode network take in the statistics of what passes through them."""

    def __init__(self, network: Network) -> None:
        self._active = False
        for module in network.trained_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                assert module.num_batches_tracked is not None
                module.num_batches_tracked.zero_()  # the first pass replaces what was loaded
                module.register_forward_pre_hook(self._track)

    def __enter__(self) -> None:
        self._active = True

    def __exit__(self, *error: object) -> None:
        self._active = False

    def _track(
        self, module: nn.modules.batchnorm._BatchNorm, inputs: tuple[Any, ...]
    ) -> None:  # Any: torch's hook type
        if not self._active:
            return
        assert module.running_mean is not None and module.running_var is not None
        assert module.num_batches_tracked is not None
        seen = inputs[0]
        if seen.numel() == seen.shape[1]:
            return  # one value has no variance
        if world_size() == 1:
            mean, variance = torch.zeros_like(module.running_mean), torch.zeros_like(module.running_var)
            # Writes its batch's statistics there; torch.var_mean takes 10 times as long on channels_last CPU tensors.
            torch.native_batch_norm(seen, None, None, mean, variance, True, 1.0, module.eps)
        else:  # of all processes, or each would have a teacher of its own
            seen = seen.float()
            number = seen.numel() // seen.shape[1] * world_size()
            mean = total(seen.sum((0, 2, 3))) / number
            variance = total((seen - mean.view(-1, 1, 1)).square().sum((0, 2, 3))) / (number - 1)
        module.num_batches_tracked += 1
        share = (1 / module.num_batches_tracked).clamp(min=STATISTICS_MOMENTUM)
        module.running_mean.lerp_(mean, share)
        module.running_var.lerp_(variance, share)


@torch.no_grad()
def follow(average: Network, student: Network, keep: float) -> None:
    """Move the weights of `average` towards the student's: keep * average + (1 - keep) * student."""
    current = [parameter.detach() for parameter in student.parameters()]
    torch._foreach_lerp_(list(average.parameters()), current, 1 - keep)
