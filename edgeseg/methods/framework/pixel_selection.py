"""Which pseudo-labels count, how much, and what their loss is divided by: methods differ in all
three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from edgeseg.config import U2PLConfig
from edgeseg.distributed import all_reduce_sum
from edgeseg.losses.entropy import class_thresholds, partition_share, threshold
from edgeseg.methods.framework.views import PseudoTarget

LARGEST_BOOST = (
    2.0  # of U2PL's N / N_reliable, which is unbounded when nearly everything is ignored
)


class PixelWeights(NamedTuple):
    """Weights (B, H, W) float32 of the pixels, 0 = ignored, and the divisor () of the summed loss."""

    weight: Tensor
    divisor: Tensor


PixelSelector = Callable[[PseudoTarget, float], PixelWeights]  # target, progress 0..1


def everything(target: PseudoTarget, progress: float) -> PixelWeights:
    """Every pixel (Mean Teacher, CPS)."""
    valid = target.valid.float()
    return PixelWeights(valid, valid.sum())


def confident(least: float) -> PixelSelector:
    """Pixels above a confidence, divided by all valid ones (FixMatch, UniMatch): few confident
    pixels weigh little.
    """

    def select(target: PseudoTarget, progress: float) -> PixelWeights:
        return PixelWeights(
            (target.valid & (target.confidence >= least)).float(), target.valid.sum().float()
        )

    return select


def confident_share(least: float) -> PixelSelector:
    """Every pixel, weighted alike by the share of confident ones (CutMix-Seg, ClassMix)."""

    def select(target: PseudoTarget, progress: float) -> PixelWeights:
        valid = target.valid.float()
        count = all_reduce_sum(valid.sum()).clamp(min=1)
        share = all_reduce_sum((valid * (target.confidence >= least)).sum()) / count
        return PixelWeights(valid * share, valid.sum())

    return select


def reliable(settings: U2PLConfig) -> PixelSelector:
    """Pixels of low entropy, their loss multiplied by N / N_reliable (U2PL 3.2)."""

    def select(target: PseudoTarget, progress: float) -> PixelWeights:
        kept = partition(target, settings, progress)
        count = kept.sum().float()
        share = all_reduce_sum(count) / all_reduce_sum(target.valid.sum().float()).clamp(min=1)
        return PixelWeights(kept.float(), count * share.clamp(min=1 / LARGEST_BOOST))

    return select


def partition(target: PseudoTarget, settings: U2PLConfig, progress: float) -> Tensor:
    """Reliable pixels (B, H, W) bool: all but the share alpha (1 - t / T) of highest entropy (U2PL
    eq. 4).

    With one threshold for all, nearly every pixel of a rare class lies above it: the class gets no
    pseudo-labels and is forgotten. With `settings.per_class` each class keeps the same share of its
    pixels.
    """
    share = partition_share(settings.alpha, progress)
    if not settings.per_class:
        return target.valid & (target.entropy < threshold(target.entropy, target.valid, share))
    classes = target.probability.shape[1]
    gammas = class_thresholds(target.entropy, target.label, target.valid, share, classes)
    return target.valid & (target.entropy < gammas[target.label.clamp(0, classes - 1)])


def rescaled(selected: PixelWeights, weight: Tensor) -> PixelWeights:
    """Multiply the weights by `weight` (B, H, W) and divide by their new sum."""
    product = selected.weight * weight
    return PixelWeights(product, product.sum())


def kept_share(selected: PixelWeights, target: PseudoTarget) -> Tensor:
    """Share () of the valid pixels whose pseudo-label counts at all."""
    return (selected.weight > 0).sum() / target.valid.sum().clamp(min=1)


def histogram(target: PseudoTarget, selected: PixelWeights) -> Tensor:
    """(C,) pixels of each pseudo-label that counts."""
    classes = target.probability.shape[1]
    label = torch.where(selected.weight > 0, target.label.clamp(max=classes), classes).flatten()
    counts = torch.zeros(classes + 1, device=label.device)  # not bincount, which waits for a GPU
    return counts.scatter_add_(0, label, torch.ones_like(label, dtype=counts.dtype))[:classes]
