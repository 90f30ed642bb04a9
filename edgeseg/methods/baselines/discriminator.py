"""Networks that assess the student's predictions: their layers, inputs, and frozen use.

AdvSSL and S4GAN have a discriminator, ECS a correction network. They work at the resolution of the
logits: no upsampling tells them which class maps are predictions, and they cost little.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from edgeseg.imaging.array_types import IGNORE
from edgeseg.methods.framework.views import certain_probability


def strided_convolutions(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    """4x4 convolutions with leaky ReLU, each of which halves the resolution.

    Nothing in them depends on the batch, as batch norm would.
    """
    layers: list[nn.Module] = []
    for before, width in zip([in_channels, *widths], widths):
        layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def call_frozen(network: nn.Module, inputs: Tensor) -> Tensor:
    """Output of the network, with gradient for its inputs and none for its own weights."""
    detached = {name: parameter.detach() for name, parameter in network.named_parameters()}
    output: Tensor = functional_call(network, detached, inputs)
    return output


def true_class_map(masks: Tensor, probability: Tensor) -> Tensor:
    """Masks (B, h, w) as certain probabilities (B, C, h, w).

    Where nothing is labelled stands the prediction, or a discriminator would know true maps by
    their holes.
    """
    certain = certain_probability(masks, probability.shape[1], probability.dtype)
    return torch.where((masks != IGNORE)[:, None], certain, probability)


def image_and_class_map(images: Tensor, probability: Tensor) -> Tensor:
    """Images (B, 3, H, W), shrunk, and class maps (B, C, h, w) as one input (B, 3 + C, h, w)."""
    small_images = F.interpolate(images, size=probability.shape[2:], mode="area")
    return torch.cat([small_images, probability], 1)
