"""Cross-entropy against masks and pseudo-masks, weighted by class.

Legend: B batch, C classes, H W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.shared.precision import to_float32


def cross_entropy(logits: Tensor, target: Tensor, class_weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the pixels of all processes that are not ignored.

    A class weight scales the loss of its pixels, not the divisor: dividing by the number of pixels
    rather than by the sum of weights keeps the scale of the loss equal between batches with and
    without rare classes.

    Args:
        logits: (B, C, H, W).
        target: (B, H, W) int64, 255 = ignore.
        class_weight: (C,), 1 on average over the labelled pixels.

    Returns:
        (), a differentiable 0 where every pixel is ignored.
    """
    logits = to_float32(logits)
    weight = None if class_weight is None else class_weight.to(logits.dtype)
    loss = F.cross_entropy(logits, target, weight, ignore_index=IGNORE, reduction="sum")
    return distributed_mean(loss, (target != IGNORE).sum())


def class_weights(pixels: Tensor, power: float) -> Tensor:
    """Weights ~ frequency^-power, scaled so that the mean over all labelled pixels is 1.

    Args:
        pixels: (C,) number of labelled pixels of each class.
        power: 0 = no balancing, 1 = every class counts the same.

    Returns:
        (C,) float32; a class without pixels gets the weight of the rarest one that has some.
    """
    frequency = pixels.double() / pixels.sum().clamp(min=1)
    present = frequency > 0
    rarest = (
        frequency[present].min() if bool(present.any()) else torch.ones((), dtype=frequency.dtype)
    )
    weight = torch.where(present, frequency, rarest).pow(-power)
    return (weight / (weight * frequency).sum().clamp(min=1e-12)).float()
