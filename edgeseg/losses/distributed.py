"""Sums over all processes of a run, so that a loss does not depend on how many devices share a
batch.

Data-parallel training averages gradients over processes. A loss that every process divided by its
own count would weigh a pixel by what else happens to lie on its device; `ratio` divides by the
count of all of them instead. Without several processes everything here is the identity.
"""

from __future__ import annotations

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
    """Which of them this one is, from 0."""
    return distributed.get_rank() if world_size() > 1 else 0


def wait() -> None:
    """Until all of them have come here."""
    if world_size() > 1:
        distributed.barrier()


def all_reduce_sum(value: Tensor) -> Tensor:
    """Sum of `value` over all processes, without gradient; any shape."""
    value = value.detach()
    if world_size() > 1:
        value = value.clone().contiguous()
        distributed.all_reduce(value)
    return value


def gather(value: Tensor) -> Tensor:
    """`value` of all processes one after another along a new first dimension, (W, ...), without
    gradient.
    """
    value = value.detach()
    if world_size() == 1:
        return value[None]
    found = [
        torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(world_size())
    ]
    distributed.all_gather(found, value.contiguous())
    return torch.stack(found)


def distributed_mean(amount: Tensor, count: Tensor) -> Tensor:
    """`amount` / `count` over all processes, once data-parallel training has averaged it; 0 where
    nothing counts.

    Args:
        amount: () sum with gradient over what this process has.
        count: () how much that is; the divisor is at least 1e-6 for weights, so pass counts of
            whole pixels or their weights alike.
    """
    return amount * world_size() / all_reduce_sum(count.float()).clamp(min=1e-6)
