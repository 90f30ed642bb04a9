"""Cross-entropy against masks and pseudo-masks, weighted by class, with a differentiable zero where
nothing counts.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.precision import to_float32


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *size) float32, bilinear, as the exported graph does it."""
    return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)


def cross_entropy(logits: Tensor, target: Tensor, class_weight: Tensor | None = None) -> Tensor:
    """Mean over all processes' pixels that are not 255; a class weight scales its pixels, not the
    divisor.

    Dividing by the number of pixels rather than by the sum of weights keeps the scale of the loss
    equal between batches with and without rare classes.

    Args:
        logits: (B, C, H, W).
        target: (B, H, W) int64, 255 = ignore.
        class_weight: (C,), 1 on average over the labelled pixels.
    """
    logits = to_float32(logits)
    weight = None if class_weight is None else class_weight.to(logits.dtype)
    loss = F.cross_entropy(logits, target, weight, ignore_index=IGNORE, reduction="sum")
    return distributed_mean(loss, (target != IGNORE).sum())


def class_weights(pixels: Tensor, power: float) -> Tensor:
    """Weights ~ frequency ** -power, scaled so that the mean over all labelled pixels is 1.

    Args:
        pixels: (C,) number of labelled pixels of each class.
        power: 0 = no balancing, 1 = every class counts the same.

    Returns:
        (C,) float32; a class without pixels gets the weight of the rarest one that has some.
    """
    share = pixels.double() / pixels.sum().clamp(min=1)
    present = share > 0
    least = share[present].min() if bool(present.any()) else torch.ones((), dtype=share.dtype)
    weight = torch.where(present, share, least).pow(-power)
    return (weight / (weight * share).sum().clamp(min=1e-12)).float()
