"""Entropy and what follows from it: which pixels are reliable (U2PL 3.2, dynamic partition
adjustment).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgeseg.distributed import all_reduce_sum


def entropy(probability: Tensor, dim: int = 1) -> Tensor:
    """Entropy in nats divided by ln C, so 0..1; the class dimension goes.

    Args:
        probability: (B, C, H, W) for dim 1; float32.
    """
    total: Tensor = torch.special.entr(probability).sum(dim)
    return total / math.log(probability.shape[dim])


def partition_share(alpha: float, progress: float) -> float:
    """Share of pixels called unreliable: alpha (1 - t / T) (U2PL eq. 4: falls to 0 as pseudo-labels
    get better).
    """
    return alpha * (1.0 - progress)


def threshold(values: Tensor, valid: Tensor, share: float, bins: int = 2048) -> Tensor:
    """The value above which `share` of the valid entries lie, to one bin of a histogram over 0..1.

    A histogram needs neither a sort nor a copy to the host, and unlike torch.quantile has no limit
    on the size.

    Args:
        values: any shape, 0..1.
        valid: the same shape, bool.

    Returns:
        () float32; above 1 when share is 0 or nothing is valid, so that every entry lies below.
    """
    return class_thresholds(
        values, torch.zeros_like(values, dtype=torch.int64), valid, share, 1, bins
    )[0]


def class_thresholds(
    values: Tensor, label: Tensor, valid: Tensor, share: float, classes: int, bins: int = 2048
) -> Tensor:
    """`threshold` for the entries of each class by itself, so that `share` of every class lies
    above its own.

    The entries of all processes count together, and each process gets the same thresholds.

    Args:
        label: as `values`, int64 class ids where `valid`.

    Returns:
        (C,) float32.
    """
    index = (values.float() * bins).long().clamp_(0, bins - 1) + bins * label.clamp(0, classes - 1)
    counts = torch.zeros(classes * bins, dtype=torch.float32, device=values.device)
    counts = all_reduce_sum(counts.scatter_add_(0, index.flatten(), valid.flatten().float()))
    above = (
        counts.view(classes, bins).flip(1).cumsum(1).flip(1)
    )  # entries in this bin or a higher one
    everything = above[:, :1]
    first = (above > share * everything).sum(1)  # bins up to the one that holds the threshold
    return torch.where(everything[:, 0] * share <= 0, 2.0, first.float() / bins)
