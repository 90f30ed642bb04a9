"""What methods with a network that judges the student share (AdvSSL, S4GAN, ECS): how it is fed and
held still.

A judge works at the resolution of the logits: no upsampling tells it which maps are predictions,
and it costs little.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from edgeseg.imaging.array_types import IGNORE


def strided(inside: int, widths: Sequence[int]) -> nn.Sequential:
    """4x4 convolutions, each of which halves the resolution, with leaky ReLU and nothing that
    depends on the batch.
    """
    layers: list[nn.Module] = []
    for before, width in zip([inside, *widths], widths):
        layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def frozen(judge: nn.Module, image: Tensor) -> Tensor:
    """What the judge says, with gradient for what it looks at and none for its own weights."""
    still = {name: parameter.detach() for name, parameter in judge.named_parameters()}
    found: Tensor = functional_call(judge, still, image)
    return found


def shrink(masks: Tensor, logits: Tensor) -> Tensor:
    """Masks (B, H, W) of any kind at the resolution of the logits (B, C, h, w), nearest neighbor."""
    small = F.interpolate(masks[:, None].float(), size=logits.shape[2:], mode="nearest-exact")[:, 0]
    return small.to(masks.dtype)


def truth(masks: Tensor, probability: Tensor) -> Tensor:
    """Masks (B, h, w) as certain probabilities (B, C, h, w).

    Where nothing is labelled stands the prediction, or the judge would know true maps by their
    holes.
    """
    classes = probability.shape[1]
    certain = F.one_hot(masks.clamp(max=classes - 1), classes).movedim(-1, 1).to(probability.dtype)
    return torch.where((masks != IGNORE)[:, None], certain, probability)


def beside(images: Tensor, probability: Tensor) -> Tensor:
    """Normalized images (B, 3, H, W), shrunk, and class maps (B, C, h, w) as one input (B, 3 + C,
    h, w).
    """
    return torch.cat(
        [F.interpolate(images, size=probability.shape[2:], mode="area"), probability], 1
    )
