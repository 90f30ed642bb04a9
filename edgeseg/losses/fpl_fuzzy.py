"""Fuzzy positives (FPL, Qiao et al., CVPR 2023): where a target is torn between classes, all of
them may be right.

A plug-in for any method whose target is a probability (methods.md 2.3): `fuzzy_positives` is the
paper's assignment (FPA), `fuzzy_loss` its regularization (FPR), `fuzzy_weight` the weights of
pixels that its code adds. Legend: B batch, C classes, H W pixels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.losses.precision import to_float32

FuzzyMode = Literal["none", "linear", "convex", "concave"]


@torch.no_grad()
def fuzzy_positives(probability: Tensor, mass: float, most: int) -> Tensor:
    """The K most likely classes of each pixel, K = clamp(n - 1, 1, min(most, C - 1)) (FPA).

    n is the smallest number of classes that together have the probability `mass`. At least one
    class stays negative, so with two classes this is the one-hot label.

    Args:
        probability: (B, C, H, W) of the target.
        mass: T_u, 0..1.

    Returns:
        (B, C, H, W) bool; of equally likely classes the first one goes in first.
    """
    rest = to_float32(probability).clone()
    positives = torch.zeros_like(rest, dtype=torch.bool)
    reached = torch.zeros_like(rest[:, :1])
    for place in range(min(most, rest.shape[1] - 1)):  # a few maxima are far cheaper than a sort
        value, index = rest.max(1, keepdim=True)
        reached = reached + value
        positives.scatter_(
            1, index, reached < mass if place else torch.ones_like(index, dtype=torch.bool)
        )
        rest.scatter_(1, index, -1.0)
    return positives


def fuzzy_loss(logits: Tensor, positives: Tensor) -> Tensor:
    """log(1 + sum_{i in Y} e^-z_i sum_{j not in Y} e^z_j), cross-entropy where Y has one class
    (FPR).

    Args:
        logits: (B, C, H, W).
        positives: (B, C, H, W) bool, Y.

    Returns:
        (B, H, W); 0 without gradient where Y is empty or has every class.
    """
    logits = to_float32(logits)
    signed = torch.where(positives, -logits, logits)
    with (
        torch.no_grad()
    ):  # the largest term of each sum, so that one exponential of everything serves both
        least = (
            torch.finfo(logits.dtype).min / 4
        )  # finite, so that two of them have a sum and a gradient
        pull_top = signed.masked_fill(~positives, least).amax(1, keepdim=True)
        push_top = signed.masked_fill(positives, least).amax(1, keepdim=True)
        top = torch.where(positives, pull_top, push_top)
    terms = (signed - top).exp()
    pull, push = (
        (terms * positives).sum(1),
        (terms * ~positives).sum(1),
    )  # 1 or more, 0 for an empty side
    exponent = pull.clamp(min=0.5).log() + push.clamp(min=0.5).log() + (pull_top + push_top)[:, 0]
    return F.softplus(exponent)


@torch.no_grad()
def fuzzy_weight(probability: Tensor, positives: Tensor, mode: FuzzyMode) -> Tensor:
    """How far the most likely negative stays behind: near 0 for a flat target, 1 where nothing is
    left over.

    With p the probability of the most likely negative and m the mean of it and the positives: 1 for
    "none", (m - p) / m for "linear", (m - p) / (m + 4 p) for "convex", ln(1 + 50 (m - p)) / ln(1 +
    50 m) for "concave".

    Args:
        probability: (B, C, H, W) of the target.
        positives: (B, C, H, W) bool from `fuzzy_positives`.

    Returns:
        (B, H, W), 0..1.
    """
    probability = to_float32(probability)
    if mode == "none":
        return torch.ones_like(probability[:, 0])
    next_one = probability.masked_fill(positives, 0.0).amax(1)
    mean = ((probability * positives).sum(1) + next_one) / (positives.sum(1) + 1)
    lead = (mean - next_one).clamp(min=0)
    mean = mean.clamp(min=1e-12)
    if mode == "linear":
        return lead / mean
    if mode == "convex":
        return lead / (mean + 4 * next_one)
    return (50 * lead).log1p() / (50 * mean).log1p()
