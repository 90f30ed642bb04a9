"""Image-level loss: the classes that a frame shows at all (S4GAN's MLMT branch, PseudoSeg)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import distributed_masked_mean
from edgeseg.imaging.array_types import IGNORE


def presence_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy of image-level logits with the classes that the masks show.

    Args:
        logits: (B, C).
        masks: (B, H, W) int64, 255 = ignore.

    Returns:
        (), the mean over classes and over the frames of all processes that have any label.
    """
    shown = torch.zeros(len(masks), IGNORE + 1, device=masks.device)
    shown = shown.scatter_(1, masks.flatten(1), 1.0)
    present = shown[:, : logits.shape[1]]
    loss = F.binary_cross_entropy_with_logits(logits.float(), present, reduction="none").mean(1)
    return distributed_masked_mean(loss, present.amax(1))
