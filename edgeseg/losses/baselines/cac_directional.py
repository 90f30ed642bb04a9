"""Directional contrastive loss between two crops that overlap (CAC or DCC, Lai et al., CVPR 2021).

The same place in two surroundings should look the same to the network. Legend: P places in the
overlap, N negatives, D features of the projection phi.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import distributed_masked_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.shared.precision import full_precision, to_float32


def directional_contrast(
    features_1: Tensor,
    features_2: Tensor,
    confidence_1: Tensor,
    confidence_2: Tensor,
    label_1: Tensor,
    label_2: Tensor,
    valid: Tensor,
    negatives: Tensor,
    negative_labels: Tensor,
    confidence_threshold: float = 0.75,
    temperature: float = 0.1,
) -> Tensor:
    """Pull the less confident view of each place to the other view, push it from other classes.

    One direction is -ln( e^(f.g / T) / (e^(f.g / T) + sum_n e^(f.n / T)) ) with cosines, f the less
    confident and g the more confident view, which is detached; n runs over the negatives whose
    pseudo-label differs from f's. Each direction is averaged over its places, and both are added.
    It needs P x N numbers, so draw a few thousand of each.

    Args:
        features_1, features_2: (P, D) the same places in the two crops, with gradient.
        confidence_1, confidence_2: (P,) 0..1.
        label_1, label_2: (P,) int64 pseudo-labels; 255 takes a place out of the direction whose
            less confident view it is.
        valid: (P,) bool.
        negatives: (N, D) of any crop, used without gradient.
        negative_labels: (N,) int64, 255 = unknown, and so no negative of anything.
        confidence_threshold: the more confident view has to exceed it (positive filtering).

    Returns:
        (), a differentiable 0 where no place counts.
    """
    with full_precision(features_1):
        features_1, features_2, negatives = (
            F.normalize(to_float32(features), dim=1)
            for features in (features_1, features_2, negatives.detach())
        )
        # In the direction 1 to 2 view 1 is the less confident one and moves.
        from_1_to_2 = valid & (confidence_2 > confidence_1) & (confidence_2 > confidence_threshold)
        from_2_to_1 = valid & (confidence_1 > confidence_2) & (confidence_1 > confidence_threshold)
        loss_1_to_2 = _one_direction(
            features_1,
            features_2.detach(),
            label_1,
            from_1_to_2,
            negatives,
            negative_labels,
            temperature,
        )
        loss_2_to_1 = _one_direction(
            features_2,
            features_1.detach(),
            label_2,
            from_2_to_1,
            negatives,
            negative_labels,
            temperature,
        )
        return loss_1_to_2 + loss_2_to_1


def _one_direction(
    anchor: Tensor,
    positive: Tensor,
    label: Tensor,
    selected: Tensor,
    negatives: Tensor,
    negative_labels: Tensor,
    temperature: float,
) -> Tensor:
    """Mean () over the selected (P,) anchors (P, D), all features being normalized."""
    selected = selected & (label != IGNORE)
    no_negative = (label[:, None] == negative_labels) | (negative_labels == IGNORE)  # (P, N)
    lowest = torch.finfo(anchor.dtype).min / 4
    to_negative = (anchor @ negatives.T / temperature).masked_fill(no_negative, lowest)
    to_positive = (anchor * positive).sum(1) / temperature
    # -ln(e^p / (e^p + sum e^n)) = softplus(logsumexp(n) - p), which is exact also where it is tiny.
    loss = F.softplus(to_negative.logsumexp(1) - to_positive)
    return distributed_masked_mean(loss, selected)
