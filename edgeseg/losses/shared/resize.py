"""Logits and masks at another resolution.

Legend: B batch, C classes, H W pixels, h w those of the network's output.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) logits as (B, C, *size) float32, bilinear, as the exported graph does it."""
    return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)


def resize_nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) masks or other maps as (B, *size) of the same type, nearest neighbor."""
    resized = F.interpolate(maps[:, None].float(), size=size, mode="nearest-exact")
    return resized[:, 0].to(maps.dtype)
