"""The EMA teacher: its weights follow the student's, its batch norms their own inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edgeseg.distributed import all_reduce_sum, world_size
from edgeseg.models import Network

STATISTICS_MOMENTUM = 0.05  # of the teacher's batch norms: the last 20 or so passes


class BatchNormTracker:
    """A context in which a network's batch norms update their statistics although in eval mode.

    An EMA teacher needs statistics of its own activations; the mean of the student's statistics
    does not fit the mean of its weights.
    """

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
        """Move the running statistics towards those of the inputs (B, D, h, w) of all processes.

        The k-th pass has the weight max(1 / k, STATISTICS_MOMENTUM): a plain mean at first.
        """
        if not self._active:
            return
        assert module.running_mean is not None and module.running_var is not None
        assert module.num_batches_tracked is not None
        # As rows of channels: a view of channels_last frames, and five times as fast as
        # torch.var_mean over three axes.
        rows = inputs[0].float().movedim(1, -1).flatten(0, 2)  # (B h w, D)
        number = len(rows) * world_size()
        if number == 1:
            return  # one value has no variance
        # Statistics of all processes, or each would have a teacher of its own.
        mean = all_reduce_sum(rows.sum(0)) / number
        variance = all_reduce_sum((rows - mean).square().sum(0)) / (number - 1)
        module.num_batches_tracked += 1
        weight = (1 / module.num_batches_tracked).clamp(min=STATISTICS_MOMENTUM)
        module.running_mean.lerp_(mean, weight)
        module.running_var.lerp_(variance, weight)


@torch.no_grad()
def update_ema(average: Network, student: Network, momentum: float) -> None:
    """Move the weights of `average`: momentum * average + (1 - momentum) * student."""
    current = [parameter.detach() for parameter in student.parameters()]
    torch._foreach_lerp_(list(average.parameters()), current, 1 - momentum)


@torch.no_grad()
def copy_statistics(average: Network, student: Network) -> None:
    """Give `average` the statistics of the student's batch norms in place of its own."""
    for own, current in zip(average.buffers(), student.buffers()):
        own.copy_(current)
