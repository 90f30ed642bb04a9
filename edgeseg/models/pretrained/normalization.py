"""Input normalization: the mean and the deviation of RGB that an encoder was trained with.

Weights expect the input that they were trained with: most of timm's have ImageNet's statistics,
EfficientNet-Lite and many vision transformers 0.5 and 0.5. A network keeps its own (`Network.
normalization`), its card holds it, and the exported graph has it folded in.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from timm.models import get_pretrained_cfg
from torch import Tensor

Color = tuple[float, float, float]  # red, green and blue, 0..1


class Normalization(NamedTuple):
    """The mean that is taken from RGB in 0..1, and the deviation that the rest is divided by."""

    mean: Color
    std: Color

    def tensors(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Mean and deviation, (1, 3, 1, 1) float32 each."""
        mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in self)
        return mean, std


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
IMAGENET = Normalization(MEAN, STD)


def encoder_normalization(encoder: str) -> Normalization:
    """Return the normalization that timm's weights of an encoder were trained with.

    It goes by the name alone: a weights file and random weights get the same, so that a run may
    start from another. ImageNet's for networks that timm does not know or has no weights of.

    Args:
        encoder: A name of timm, with a tag of its weights or without, or of this project.
    """
    config = get_pretrained_cfg(encoder, allow_unregistered=True)
    mean, std = tuple(getattr(config, "mean", ())), tuple(getattr(config, "std", ()))
    if len(mean) != len(MEAN) or len(std) != len(STD):
        return IMAGENET
    return Normalization(mean, std)
