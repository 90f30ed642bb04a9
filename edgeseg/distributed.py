"""Sums over all processes of a run, so that a loss does not depend on how many devices share a
batch.

Data-parallel training averages gradients over processes. A loss that every process divided by its
own count would weigh a pixel by what else happens to lie on its device; `distributed_mean` divides
by the count of all of them instead. Without several processes everything here is the identity.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, distributed


def world_size() -> int:
    """Number of processes that train together."""
    return (
        distributed.get_world_size()
        if distributed.is_available() and distributed.is_initialized()
        else 1
    )


def rank() -> int:
    """Number of this process among those that train together, from 0."""
    return distributed.get_rank() if world_size() > 1 else 0


def barrier() -> None:
    """Wait until all processes have come here."""
    if world_size() > 1:
        distributed.barrier()


def all_reduce_sum(value: Tensor) -> Tensor:
    """Sum of `value`, of any shape, over all processes; carries no gradient."""
    value = value.detach()
    if world_size() > 1:
        value = value.clone().contiguous()
        distributed.all_reduce(value)
    return value


def copy_from_main(tensors: Iterable[Tensor]) -> None:
    """Give all processes the values that the first one has; the tensors are written to."""
    if world_size() > 1:
        for tensor in tensors:
            distributed.broadcast(tensor.detach(), 0)


def all_gather(value: Tensor) -> Tensor:
    """`value` of all W processes along a new first dimension, (W, ...); carries no gradient."""
    value = value.detach()
    if world_size() == 1:
        return value[None]
    values = [
        torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(world_size())
    ]
    distributed.all_gather(values, value.contiguous())
    return torch.stack(values)


def distributed_mean(total: Tensor, count: Tensor) -> Tensor:
    """`total` / `count` over all processes, once data-parallel training has averaged it.

    Each process returns W total / (sum of all counts): the mean over the W processes is then the
    sum of all totals over the sum of all counts. Example with two processes: totals 6 and 2, counts
    3 and 1 give 2 * 6 / 4 = 3 and 2 * 2 / 4 = 1, whose mean 2 is (6 + 2) / (3 + 1).

    Args:
        total: () sum with gradient over what this process has.
        count: () number of pixels, or the sum of their weights, that went into `total`. The divisor
            is at least 1e-6, so that the mean is a differentiable 0 where nothing counts.
    """
    return total * world_size() / all_reduce_sum(count.float()).clamp(min=1e-6)


def distributed_masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of `values` over the entries of all processes that `mask` selects.

    Args:
        values: any shape, with gradient.
        mask: the same shape, bool or weights; every entry counts where it is None.

    Returns:
        (), a differentiable 0 where nothing is selected.
    """
    if mask is None:
        return distributed_mean(values.sum(), values.new_full((), values.numel()))
    return distributed_mean((values * mask).sum(), mask.sum())
