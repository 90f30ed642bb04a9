"""Perturbed encoder features, for methods that want the same prediction from them.

UniMatch V1 and V2, CCT and PS-MT use them. Every function takes the encoder's maps, a list of
(B, D, h, w) with a different D, h, w at each level, and returns new lists; the maps themselves are
left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.losses.consistency import kl_divergence
from edgeseg.losses.shared.precision import to_float32


def complementary_dropout(
    features: Sequence[Tensor], *, shared: bool = False
) -> tuple[list[Tensor], list[Tensor]]:
    """Two views in which every channel is doubled in one and dropped in the other (UniMatch V2).

    Half of the samples, chosen at random, stay untouched in both views. The mean of the two views
    is the original.

    Args:
        shared: one draw of channels for all levels, for the equally wide levels of a ViT; otherwise
            each level has its own.
    """
    batch, device = len(features[0]), features[0].device
    untouched = torch.rand(batch, device=device).argsort() < batch // 2
    untouched = untouched[:, None, None, None]
    view_1, view_2 = [], []
    mask = torch.empty(0)  # (B, D, 1, 1), 0 or 2, and 1 for untouched samples
    for level, maps in enumerate(features):
        if not (shared and level):
            mask = (torch.rand(batch, maps.shape[1], 1, 1, device=device) < 0.5) * 2.0
            mask = mask.masked_fill(untouched, 1.0)
        view_1.append(maps * mask.to(maps.dtype))
        view_2.append(maps * (2.0 - mask).to(maps.dtype))
    return view_1, view_2


def channel_dropout(features: Sequence[Tensor], p: float = 0.5) -> list[Tensor]:
    """Drop whole channels with probability p, scale the others up by 1 / (1 - p) (UniMatch V1)."""
    return [F.dropout2d(maps, p, training=True) for maps in features]


def feature_noise(features: Sequence[Tensor], amplitude: float = 0.3) -> list[Tensor]:
    """Multiply every value by 1 + u, u uniform in -amplitude..amplitude (CCT)."""
    return [maps * (1 + amplitude * (2 * torch.rand_like(maps) - 1)) for maps in features]


def feature_drop(features: Sequence[Tensor], low: float = 0.7, high: float = 0.9) -> list[Tensor]:
    """Set places of high attention, the mean over channels, to zero (CCT).

    Args:
        low, high: a place is dropped where its attention reaches a share of the sample's largest
            attention; the share is drawn from this range.
    """
    dropped = []
    for maps in features:
        if maps.shape[1] == 0:  # timm's encoders have levels without channels
            dropped.append(maps)
            continue
        attention = to_float32(maps.detach()).mean(1, keepdim=True)
        share = low + (high - low) * torch.rand(len(maps), 1, 1, 1, device=maps.device)
        dropped.append(maps * (attention < share * attention.amax((2, 3), keepdim=True)))
    return dropped


def adversarial_noise(
    decoder: Callable[[list[Tensor]], Tensor], features: Sequence[Tensor], xi: float, radius: float
) -> list[Tensor]:
    """Features moved by `radius` to where the decoder's prediction changes most (VAT, T-VAT).

    Virtual adversarial training, T-VAT in PS-MT, with one power iteration: a random step of length
    `xi`, then the gradient of KL(clean || moved) there, scaled to `radius`. Lengths are taken over
    all levels of a sample together, so levels that the decoder does not read stay as they are. It
    runs in float32 whatever the precision around it, and leaves every parameter's `.grad` alone;
    the noise itself carries no gradient. The decoder should be in eval mode, or its batch norm
    takes in what it is shown.

    Args:
        decoder: from the list of maps to (B, C, h, w) logits.
        xi: 0.1 to 1. The published 1e-6 is lost in float32 beside features of order 1: on a
            DeepLabv3+ decoder the direction it finds has a cosine of 0.02 with the exact one,
            against 0.99 and more from 0.01 to 3.
    """
    clean = [to_float32(maps.detach()) for maps in features]
    with torch.autocast(clean[0].device.type, enabled=False), torch.enable_grad():
        step = _scale_to_length([torch.randn_like(maps) for maps in clean], xi)
        moved = [
            (maps + noise).requires_grad_(True) for maps, noise in zip(clean, step, strict=True)
        ]
        with torch.no_grad():
            clean_logits = decoder(clean)
        divergence = kl_divergence(clean_logits, decoder(moved)).sum()
        gradients = torch.autograd.grad(divergence, moved, allow_unused=True)
        direction = [
            torch.zeros_like(maps) if gradient is None else gradient
            for maps, gradient in zip(clean, gradients, strict=True)
        ]
    noise = _scale_to_length(direction, radius)
    return [maps + level.to(maps.dtype) for maps, level in zip(features, noise, strict=True)]


def _scale_to_length(levels: list[Tensor], length: float) -> list[Tensor]:
    """Scale every sample's maps, all levels taken together, to `length`; zeros stay zeros."""
    # Gradients can be so small that their squares vanish, so the largest value is divided out.
    largest = torch.stack(
        [level.abs().flatten(1).amax(1) for level in levels if level[0].numel()]
    ).amax(0)
    largest = largest.clamp(min=torch.finfo(largest.dtype).tiny)
    squared_length = torch.stack(
        [(level / _as_column(largest)).square().flatten(1).sum(1) for level in levels]
    ).sum(0)
    factor = length / squared_length.sqrt().clamp(min=1e-12)
    return [level / _as_column(largest) * _as_column(factor) for level in levels]


def _as_column(values: Tensor) -> Tensor:
    """(B,) values as (B, 1, 1, 1), to be multiplied with maps."""
    return values[:, None, None, None]
