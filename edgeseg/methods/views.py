"""The student's view of unlabelled frames and the teacher's word on them, moved together pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgeseg.data.augment import strong
from edgeseg.data.mix import boxes, mix
from edgeseg.losses.reliability import entropy
from edgeseg.losses.supervised import upsample
from edgeseg.methods.method import Batch, Method


@dataclass(frozen=True)
class Target:
    """What the teacher says about the student's view, at the images' size.

    Attributes:
        images: (B, 3, H, W) 0..1, the student's view.
        label: (B, H, W) int64, the most likely class, 255 in the padding.
        confidence: (B, H, W) its probability.
        entropy: (B, H, W) 0..1.
        valid: (B, H, W) bool.
    """

    images: Tensor
    label: Tensor
    confidence: Tensor
    entropy: Tensor
    valid: Tensor


@torch.no_grad()
def look(method: Method, unlabelled: Batch, *, colour: bool, cutmix: float) -> Target:
    """Label the weak view, then change colours for the student and, with chance `cutmix`, mix everything alike."""
    size = (unlabelled.images.shape[2], unlabelled.images.shape[3])
    probability = upsample(method.look_at(unlabelled.images), size).softmax(1)
    confidence, label = probability.max(1)
    images = strong(unlabelled.images) if colour else unlabelled.images
    target = Target(
        images, label.masked_fill(~unlabelled.valid, 255), confidence, entropy(probability), unlabelled.valid
    )
    if float(torch.rand(())) >= cutmix:
        return target
    batch, _, height, width = images.shape
    box = boxes(batch, height, width, images.device)
    return Target(*(mix(getattr(target, name), box) for name in ("images", "label", "confidence", "entropy", "valid")))
