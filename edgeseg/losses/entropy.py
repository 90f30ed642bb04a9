"""Entropy of predictions, and the percentile threshold that parts reliable from unreliable pixels.

The dynamic partition adjustment of U2PL (Wang et al., CVPR 2022, section 3.2): pixels whose entropy
lies above gamma_t, the percentile 100 (1 - alpha_t) of all entropies, are unreliable.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgeseg.distributed import all_reduce_sum


def entropy(probability: Tensor, dim: int = 1) -> Tensor:
    """Entropy -sum_c p_c ln p_c in units of ln C, so that it lies in 0..1.

    Args:
        probability: float32 with the classes along `dim`, such as (B, C, H, W).

    Returns:
        The same shape without `dim`.
    """
    nats: Tensor = torch.special.entr(probability).sum(dim)
    return nats / math.log(probability.shape[dim])


def unreliable_share(alpha_0: float, progress: float) -> float:
    """Share alpha_t = alpha_0 (1 - t / T) of pixels called unreliable (U2PL, eq. 4).

    It falls to 0 as pseudo-labels get better; `progress` is t / T.
    """
    return alpha_0 * (1.0 - progress)


def percentile_threshold(values: Tensor, valid: Tensor, share: float, bins: int = 2048) -> Tensor:
    """The threshold above which `share` of the valid values lie, exact to one bin of a histogram.

    A histogram needs neither a sort nor a copy to the host, and unlike torch.quantile has no limit
    on the number of values.

    Args:
        values: any shape, 0..1.
        valid: the same shape, bool.

    Returns:
        () float32; above 1 where `share` is 0 or nothing is valid, so that every value lies below.
    """
    one_class = torch.zeros_like(values, dtype=torch.int64)
    return class_percentile_thresholds(values, one_class, valid, share, 1, bins)[0]


def class_percentile_thresholds(
    values: Tensor, label: Tensor, valid: Tensor, share: float, classes: int, bins: int = 2048
) -> Tensor:
    """A threshold for each class by itself, so that `share` of every class lies above its own.

    The values of all processes count together, and each process gets the same thresholds. Example
    with one class and 4 bins: the values 0.1, 0.3, 0.6 and 0.9 fill a bin each, so 4, 3, 2 and 1
    values lie in each bin or a higher one. For a share of 0.5 two bins hold more than 2 values at
    and above them, and the threshold is 2 / 4.

    Args:
        values: any shape, 0..1.
        label: the same shape, int64 class ids where `valid`.
        valid: the same shape, bool.

    Returns:
        (C,) float32; 2 for a class that has no values, or where `share` is 0.
    """
    value_bin = (values.float() * bins).long().clamp_(0, bins - 1)
    index = value_bin + bins * label.clamp(0, classes - 1)  # one histogram after another
    counts = torch.zeros(classes * bins, dtype=torch.float32, device=values.device)
    counts = all_reduce_sum(counts.scatter_add_(0, index.flatten(), valid.flatten().float()))
    # Values in each bin or a higher one: the cumulative sum from the right.
    at_or_above = counts.view(classes, bins).flip(1).cumsum(1).flip(1)
    total = at_or_above[:, :1]
    threshold_bin = (at_or_above > share * total).sum(1)
    return torch.where(total[:, 0] * share <= 0, 2.0, threshold_bin.float() / bins)
