"""Perturbed encoder features, for methods that want the same answer from them (UniMatch V1 and V2,
CCT, PS-MT).

Every function takes the encoder's maps, a list of (B, D, h, w) with a different D, h, w at each
level, and gives new lists; the maps themselves are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.losses.consistency import divergence_map
from edgeseg.losses.precision import to_float32


def complementary_dropout(
    features: Sequence[Tensor], *, shared: bool = False
) -> tuple[list[Tensor], list[Tensor]]:
    """Two views in which every channel is doubled in one and dropped in the other (UniMatch V2).

    Half of the samples, chosen at random, stay untouched in both views. The mean of the two views
    is the original.

    Args:
        shared: one draw of channels for all levels, for the equally wide levels of a ViT; otherwise
            each has its own.
    """
    batch, device = len(features[0]), features[0].device
    kept = torch.rand(batch, device=device).argsort() < batch // 2
    kept = kept[:, None, None, None]
    one, other = [], []
    mask = torch.empty(0)
    for level, maps in enumerate(features):
        if not (shared and level):
            mask = (torch.rand(batch, maps.shape[1], 1, 1, device=device) < 0.5) * 2.0
            mask = mask.masked_fill(kept, 1.0)
        one.append(maps * mask.to(maps.dtype))
        other.append(maps * (2.0 - mask).to(maps.dtype))
    return one, other


def channel_dropout(features: Sequence[Tensor], p: float = 0.5) -> list[Tensor]:
    """Whole channels dropped with chance p, the others scaled up by 1 / (1 - p) (UniMatch V1)."""
    return [F.dropout2d(maps, p, training=True) for maps in features]


def feature_noise(features: Sequence[Tensor], spread: float = 0.3) -> list[Tensor]:
    """Every value times 1 + u, u uniform in -spread..spread (CCT)."""
    return [maps * (1 + spread * (2 * torch.rand_like(maps) - 1)) for maps in features]


def feature_drop(features: Sequence[Tensor], low: float = 0.7, high: float = 0.9) -> list[Tensor]:
    """Places of high attention, the mean over channels, set to zero (CCT).

    Args:
        low, high: a place goes from a share of the sample's largest attention on, drawn from this
        range.
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
    """The features moved by `radius` to where the decoder's answer changes most (VAT; T-VAT in
    PS-MT).

    One power iteration: a random step of length `xi`, then the gradient of KL(clean || moved)
    there, scaled to `radius`. Lengths are taken over all levels of a sample together, so levels
    that the decoder does not read stay as they are. Runs in float32 whatever the precision around
    it, and leaves every parameter's `.grad` alone; the noise itself carries no gradient. The
    decoder should be in eval mode, or its batch norm takes in what it is shown.

    Args:
        decoder: from the list of maps to (B, C, h, w) logits.
        xi: 0.1 to 1. The published 1e-6 is lost in float32 beside features of order 1: on a
            DeepLabv3+ decoder the direction it finds has a cosine of 0.02 with the exact one,
            against 0.99 and more from 0.01 to 3.
    """
    clean = [to_float32(maps.detach()) for maps in features]
    with torch.autocast(clean[0].device.type, enabled=False), torch.enable_grad():
        step = _scaled([torch.randn_like(maps) for maps in clean], xi)
        moved = [
            (maps + noise).requires_grad_(True) for maps, noise in zip(clean, step, strict=True)
        ]
        with torch.no_grad():
            wanted = decoder(clean)
        change = divergence_map(wanted, decoder(moved)).sum()
        gradient = torch.autograd.grad(change, moved, allow_unused=True)
        found = [
            torch.zeros_like(maps) if slope is None else slope
            for maps, slope in zip(clean, gradient, strict=True)
        ]
    noise = _scaled(found, radius)
    return [maps + push.to(maps.dtype) for maps, push in zip(features, noise, strict=True)]


def _scaled(maps: list[Tensor], length: float) -> list[Tensor]:
    """Every sample's maps, taken together, scaled to `length`; nothing but zeros stays that."""
    largest = torch.stack(
        [level.abs().flatten(1).amax(1) for level in maps if level[0].numel()]
    ).amax(0)
    largest = largest.clamp(
        min=torch.finfo(largest.dtype).tiny
    )  # gradients can be so small that squares vanish
    square = torch.stack(
        [(level / _column(largest)).square().flatten(1).sum(1) for level in maps]
    ).sum(0)
    factor = length / square.sqrt().clamp(min=1e-12)
    return [level / _column(largest) * _column(factor) for level in maps]


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]
