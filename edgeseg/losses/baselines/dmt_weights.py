"""Weights of pseudo-labels from another network (DMT, Feng et al., Pattern Recognition 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.shared.precision import to_float32


@torch.no_grad()
def mutual_weight(
    probability: Tensor, label: Tensor, label_confidence: Tensor, gamma_1: float, gamma_2: float
) -> Tensor:
    """DMT's dynamic weight of a pixel, by what the trained network thinks of its label.

    p_c^gamma_1 where both networks agree on the class c; where they do not, 0 if the trained one is
    the more confident, else p_c^gamma_2. p_c is the trained network's probability of the label, so
    a label counts the less, the less that network believes in it.

    Args:
        probability: (B, C, H, W) of the network that is trained.
        label: (B, H, W) int64 of the other network, 255 = ignore.
        label_confidence: (B, H, W) the other network's probability of its label.

    Returns:
        (B, H, W), 0..1, 0 where the label is 255; carries no gradient.
    """
    probability = to_float32(probability)
    labelled = label != IGNORE
    own_confidence, own_label = probability.max(1)
    label_probability = probability.gather(1, label.masked_fill(~labelled, 0)[:, None])[:, 0]
    disagreeing = torch.where(
        own_confidence > label_confidence, 0.0, label_probability.pow(gamma_2)
    )
    agreeing = label_probability.pow(gamma_1)
    return torch.where(own_label == label, agreeing, disagreeing) * labelled
