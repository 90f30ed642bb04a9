"""Selection of pseudo-labelled pixels: their weights, and the divisor of their summed loss.

Methods differ in all three: which pixels count, how much, and by what the sum is divided.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from edgeseg.config import U2PLConfig
from edgeseg.distributed import all_reduce_sum
from edgeseg.losses.entropy import (
    class_percentile_thresholds,
    percentile_threshold,
    unreliable_share,
)
from edgeseg.methods.framework.method import StepResult
from edgeseg.methods.framework.views import PseudoTarget

# Upper bound of U2PL's N / N_reliable, which is unbounded when nearly everything is ignored.
MAX_RELIABLE_FACTOR = 2.0


class PixelWeights(NamedTuple):
    """Weights of pseudo-labelled pixels.

    Attributes:
        weight: (B, H, W) float32, 0 = ignored.
        divisor: (), by which the summed loss is divided.
    """

    weight: Tensor
    divisor: Tensor


PixelSelector = Callable[[PseudoTarget, float], PixelWeights]  # of a target and the progress 0..1


def all_pixels(target: PseudoTarget, progress: float) -> PixelWeights:
    """Select every valid pixel (Mean Teacher, CPS)."""
    valid = target.valid.float()
    return PixelWeights(valid, valid.sum())


def confident_pixels(threshold: float) -> PixelSelector:
    """Select pixels by their confidence, divided by all valid ones (FixMatch, UniMatch).

    By that divisor few confident pixels weigh little.
    """

    def select(target: PseudoTarget, progress: float) -> PixelWeights:
        confident = target.valid & (target.confidence >= threshold)
        return PixelWeights(confident.float(), target.valid.sum().float())

    return select


def weighted_by_confident_share(threshold: float) -> PixelSelector:
    """Select every pixel, all weighted by the share of confident ones (CutMix-Seg, ClassMix)."""

    def select(target: PseudoTarget, progress: float) -> PixelWeights:
        valid = target.valid.float()
        count = all_reduce_sum(valid.sum()).clamp(min=1)
        share = all_reduce_sum((valid * (target.confidence >= threshold)).sum()) / count
        return PixelWeights(valid * share, valid.sum())

    return select


def low_entropy_pixels(settings: U2PLConfig) -> PixelSelector:
    """Select reliable pixels, their loss multiplied by N / N_reliable (U2PL, section 3.2)."""

    def select(target: PseudoTarget, progress: float) -> PixelWeights:
        reliable = reliable_pixels(target, settings, progress)
        count = reliable.sum().float()
        share = all_reduce_sum(count) / all_reduce_sum(target.valid.sum().float()).clamp(min=1)
        # A mean over the reliable pixels divides by `count`; dividing by count * share multiplies
        # that mean by 1 / share = N / N_reliable.
        return PixelWeights(reliable.float(), count * share.clamp(min=1 / MAX_RELIABLE_FACTOR))

    return select


def reliable_pixels(target: PseudoTarget, settings: U2PLConfig, progress: float) -> Tensor:
    """Reliable pixels (B, H, W) bool: all but the share alpha_t of highest entropy (U2PL, eq. 4).

    With one threshold gamma_t for all, nearly every pixel of a rare class lies above it: the class
    gets no pseudo-labels and is forgotten. With `settings.per_class` each class keeps the same
    share of its pixels.
    """
    alpha_t = unreliable_share(settings.alpha, progress)
    if not settings.per_class:
        gamma_t = percentile_threshold(target.entropy, target.valid, alpha_t)
        return target.valid & (target.entropy < gamma_t)
    classes = target.probability.shape[1]
    class_gamma_t = class_percentile_thresholds(
        target.entropy, target.label, target.valid, alpha_t, classes
    )
    return target.valid & (target.entropy < class_gamma_t[target.label.clamp(0, classes - 1)])


def reweighted(selected: PixelWeights, weight: Tensor) -> PixelWeights:
    """Multiply the weights by `weight` (B, H, W) and divide by their new sum."""
    product = selected.weight * weight
    return PixelWeights(product, product.sum())


def kept_share(selected: PixelWeights, target: PseudoTarget) -> Tensor:
    """Share () of the valid pixels whose pseudo-label counts at all."""
    return (selected.weight > 0).sum() / target.valid.sum().clamp(min=1)


def pseudo_label_counts(target: PseudoTarget, selected: PixelWeights) -> Tensor:
    """Number (C,) of pixels of each pseudo-label that count."""
    classes = target.probability.shape[1]
    # Pixels that do not count go to one more bin behind the classes.
    label = torch.where(selected.weight > 0, target.label.clamp(max=classes), classes).flatten()
    counts = torch.zeros(classes + 1, device=label.device)  # not bincount, which waits for a GPU
    return counts.scatter_add_(0, label, torch.ones_like(label, dtype=counts.dtype))[:classes]


def step_result(
    loss: Tensor,
    supervised: Tensor,
    unlabelled: Tensor,
    auxiliary: Tensor,
    target: PseudoTarget,
    selected: PixelWeights,
) -> StepResult:
    """The loss with the values that every method logs."""
    logs = {"supervised": supervised, "unlabelled": unlabelled, "extra": auxiliary}
    logs |= {"kept": kept_share(selected, target), "pseudo": pseudo_label_counts(target, selected)}
    return StepResult(loss, {name: value.detach() for name, value in logs.items()})
