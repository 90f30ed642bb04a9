"""Weights of pseudo-labels that another network made (DMT, Feng et al., Pattern Recognition 2022;
methods.md 2.12).
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.precision import to_float32


@torch.no_grad()
def mutual_weight(
    probability_trained: Tensor,
    label: Tensor,
    label_confidence: Tensor,
    gamma1: float,
    gamma2: float,
) -> Tensor:
    """p_c^gamma1 where both networks agree; else 0 where the trained one is the surer, p_c^gamma2
    where it is not.

    p_c is the trained network's probability of the label, so a label counts the less, the less it
    believes in it.

    Args:
        probability_trained: (B, C, H, W) of the network that learns.
        label: (B, H, W) int64 of the other network, 255 = ignore.
        label_confidence: (B, H, W) the other network's probability of its label.

    Returns:
        (B, H, W), 0..1, 0 where the label is 255; carries no gradient.
    """
    probability = to_float32(probability_trained)
    known = label != IGNORE
    own_confidence, own = probability.max(1)
    chance = probability.gather(1, label.masked_fill(~known, 0)[:, None])[:, 0]
    yielding = torch.where(own_confidence > label_confidence, 0.0, chance.pow(gamma2))
    return torch.where(own == label, chance.pow(gamma1), yielding) * known
