"""Directional contrast between two crops that overlap (CAC, Lai et al., CVPR 2021, also called DCC;
methods.md 2.10).

The same place seen in two surroundings should look the same to the network. Legend: P places in the
overlap, N negatives, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.precision import full_precision, to_float32


def directional_contrast(
    one: Tensor,
    other: Tensor,
    confidence_one: Tensor,
    confidence_other: Tensor,
    label_one: Tensor,
    label_other: Tensor,
    valid: Tensor,
    negatives: Tensor,
    negative_labels: Tensor,
    least: float = 0.75,
    temperature: float = 0.1,
) -> Tensor:
    """The less confident side of each place is pulled to the more confident one and pushed from
    other classes.

    -ln( e^{f.g/T} / (e^{f.g/T} + sum_n e^{f.n/T}) ) with cosines, g detached; n runs over the
    negatives whose pseudo-label differs from f's. Both directions are averaged over the places they
    have, then added. Needs P x N numbers, so draw a few thousand of each.

    Args:
        one, other: (P, D) the same places in the two crops, with gradient.
        confidence_one, confidence_other: (P,) 0..1.
        label_one, label_other: (P,) int64 pseudo-labels; 255 takes a place out of the direction
        that starts there.
        valid: (P,) bool.
        negatives: (N, D) of any crop, used without gradient.
        negative_labels: (N,) int64, 255 = unknown, and so no negative of anything.
        least: the more confident side has to be surer than this.

    Returns:
        (), a differentiable 0 where no place counts.
    """
    with full_precision(one):
        one, other, negatives = (
            F.normalize(to_float32(side), dim=1) for side in (one, other, negatives.detach())
        )
        to_other = valid & (confidence_other > confidence_one) & (confidence_other > least)
        to_one = valid & (confidence_one > confidence_other) & (confidence_one > least)
        forth = _pull(
            one, other.detach(), label_one, to_other, negatives, negative_labels, temperature
        )
        back = _pull(
            other, one.detach(), label_other, to_one, negatives, negative_labels, temperature
        )
        return forth + back


def _pull(
    anchor: Tensor,
    goal: Tensor,
    label: Tensor,
    counts: Tensor,
    negatives: Tensor,
    negative_labels: Tensor,
    temperature: float,
) -> Tensor:
    counts = counts & (label != IGNORE)
    same = (label[:, None] == negative_labels) | (negative_labels == IGNORE)
    repel = (anchor @ negatives.T / temperature).masked_fill(
        same, torch.finfo(anchor.dtype).min / 4
    )
    attract = (anchor * goal).sum(1) / temperature
    loss = F.softplus(repel.logsumexp(1) - attract)  # exact also where it is tiny
    return distributed_mean((loss * counts).sum(), counts.sum())
