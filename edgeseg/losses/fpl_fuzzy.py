"""Fuzzy positive learning (FPL, Qiao et al., CVPR 2023): every likely class of a pixel is positive.

It suits any method whose target is a probability. `fuzzy_positives` is the paper's assignment
(FPA), `fuzzy_loss` its regularization (FPR), `fuzzy_weight` the weight of a pixel that its code
adds. Legend: B batch, C classes, H W pixels, Y the positive classes of a pixel.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.losses.shared.precision import to_float32

FuzzyMode = Literal["none", "linear", "convex", "concave"]


@torch.no_grad()
def fuzzy_positives(probability: Tensor, t_u: float, k_max: int) -> Tensor:
    """The K most likely classes of each pixel, K = clamp(n - 1, 1, min(k_max, C - 1)) (FPA).

    n is the smallest number of classes whose probabilities together reach T_u. At least one class
    stays negative, so with two classes this is the one-hot label. Example: the probabilities 0.60,
    0.18, 0.14, ... add up to 0.60, 0.78, 0.92, so for T_u = 0.9 n is 3 and K is 2.

    Args:
        probability: (B, C, H, W) of the target.
        t_u: T_u, 0..1.
        k_max: upper bound of K.

    Returns:
        (B, C, H, W) bool, Y; of equally likely classes the first one goes in first.
    """
    remaining = to_float32(probability).clone()
    positives = torch.zeros_like(remaining, dtype=torch.bool)
    cumulative = torch.zeros_like(remaining[:, :1])
    for k in range(min(k_max, remaining.shape[1] - 1)):  # a few maxima are far cheaper than a sort
        largest, index = remaining.max(1, keepdim=True)
        cumulative = cumulative + largest
        # The most likely class is positive in any case, the next ones while T_u is not reached.
        positive = cumulative < t_u if k else torch.ones_like(index, dtype=torch.bool)
        positives.scatter_(1, index, positive)
        remaining.scatter_(1, index, -1.0)
    return positives


def fuzzy_loss(logits: Tensor, positives: Tensor) -> Tensor:
    """ln(1 + sum_{i in Y} e^-z_i sum_{j not in Y} e^z_j), cross-entropy where |Y| = 1 (FPR).

    Computed as softplus(logsumexp_{i in Y}(-z_i) + logsumexp_{j not in Y}(z_j)).

    Args:
        logits: (B, C, H, W), z.
        positives: (B, C, H, W) bool, Y.

    Returns:
        (B, H, W); 0 without gradient where Y is empty or has every class.
    """
    logits = to_float32(logits)
    exponents = torch.where(positives, -logits, logits)
    with torch.no_grad():
        # The largest exponent of each sum: with it taken off, one exponential serves both sums.
        lowest = torch.finfo(logits.dtype).min / 4  # two of them have a finite sum and gradient
        positive_max = exponents.masked_fill(~positives, lowest).amax(1, keepdim=True)
        negative_max = exponents.masked_fill(positives, lowest).amax(1, keepdim=True)
        largest = torch.where(positives, positive_max, negative_max)
    terms = (exponents - largest).exp()
    positive_sum = (terms * positives).sum(1)  # 1 or more, 0 where there are no positives
    negative_sum = (terms * ~positives).sum(1)
    logsumexp_both = (
        positive_sum.clamp(min=0.5).log()
        + negative_sum.clamp(min=0.5).log()
        + (positive_max + negative_max)[:, 0]
    )
    return F.softplus(logsumexp_both)


@torch.no_grad()
def fuzzy_weight(probability: Tensor, positives: Tensor, mode: FuzzyMode) -> Tensor:
    """Weight of a pixel by the lead of its positives over the most likely negative.

    Near 0 for a flat target, 1 where the negatives have no probability. With p the probability of
    the most likely negative and m the mean of it and the positives: 1 for "none", (m - p) / m for
    "linear", (m - p) / (m + 4 p) for "convex", ln(1 + 50 (m - p)) / ln(1 + 50 m) for "concave".

    Args:
        probability: (B, C, H, W) of the target.
        positives: (B, C, H, W) bool from `fuzzy_positives`.

    Returns:
        (B, H, W), 0..1.
    """
    probability = to_float32(probability)
    if mode == "none":
        return torch.ones_like(probability[:, 0])
    top_negative = probability.masked_fill(positives, 0.0).amax(1)
    mean = ((probability * positives).sum(1) + top_negative) / (positives.sum(1) + 1)
    lead = (mean - top_negative).clamp(min=0)
    mean = mean.clamp(min=1e-12)
    if mode == "linear":
        return lead / mean
    if mode == "convex":
        return lead / (mean + 4 * top_negative)
    return (50 * lead).log1p() / (50 * mean).log1p()
