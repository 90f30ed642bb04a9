"""Flaw detection, dynamic consistency and flaw correction of GCT (Ke et al., ECCV 2020).

A flaw detector estimates, pixel by pixel, how wrong a prediction is. Legend: B batch, C classes,
H W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import distributed_masked_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.shared.precision import to_float32


@torch.no_grad()
def flaw_target(probability: Tensor, label: Tensor, blur: float = 1 / 16) -> Tensor:
    """The target of the flaw detector: the error of a prediction, blurred.

    The error of a pixel is half of |onehot - p|_1, which is the probability that misses the true
    class and so lies in 0..1. The Gaussian blur leaves ignored pixels out of its averages.

    Args:
        probability: (B, C, H, W).
        label: (B, H, W) int64, 255 = ignore.
        blur: standard deviation as a share of the shorter side.

    Returns:
        (B, H, W), 0..1; 0 where no pixel near by is labelled.
    """
    labelled = label != IGNORE
    p_true = to_float32(probability).gather(1, label.masked_fill(~labelled, 0)[:, None])
    weight = labelled[:, None].to(p_true.dtype)
    # A weighted mean: blur the weighted errors and the weights, then divide.
    error_and_weight = torch.cat([(1 - p_true) * weight, weight]).clamp(min=0)
    blurred = _gaussian_blur(error_and_weight, blur * min(label.shape[1:]))
    blurred_error, blurred_weight = blurred[:, 0].chunk(2)
    return blurred_error / blurred_weight.clamp(min=1e-6)


def flaw_loss(flaw: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Squared error of the flaw detector's output; against a target of 0, GCT's flaw correction.

    Args:
        flaw, target: (B, H, W).
        valid: (B, H, W) bool; for flaw correction, where both networks are flawed.

    Returns:
        ().
    """
    return distributed_masked_mean((to_float32(flaw) - to_float32(target)).square(), valid)


@torch.no_grad()
def dynamic_consistency_masks(
    flaw_1: Tensor, flaw_2: Tensor, flaw_threshold: float = 0.6
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels on which either network learns from the other one: the worse one, unless both are bad.

    Args:
        flaw_1, flaw_2: (B, H, W) of both networks, from the flaw detector.
        flaw_threshold: a network is bad above it.

    Returns:
        Three (B, H, W) bool: the first network learns, the second one learns, both are bad.
    """
    both_bad = (flaw_1 > flaw_threshold) & (flaw_2 > flaw_threshold)
    return (flaw_1 > flaw_2) & ~both_bad, (flaw_2 > flaw_1) & ~both_bad, both_bad


def _gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B, 1, H, W) along both sides; beyond the border lies 0."""
    radius = max(1, round(3 * sigma))
    offset = torch.arange(-radius, radius + 1, device=maps.device, dtype=maps.dtype)
    kernel = (-0.5 * (offset / max(sigma, 1e-3)).square()).exp()
    kernel = kernel / kernel.sum()
    with torch.autocast(maps.device.type, enabled=False):
        rows = F.conv2d(maps, kernel.view(1, 1, -1, 1), padding=(radius, 0))
        return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, radius))
