"""CutMix for segmentation: boxes, and one rule that moves everything belonging to a pixel together."""

from __future__ import annotations

import torch
from torch import Tensor


def random_boxes(
    batch: int, height: int, width: int, device: torch.device, share: float = 0.5
) -> Tensor:
    """One random box an image that covers `share` of it, aspect ratio 1/2 to 2 where it fits.

    Returns:
        (B, H, W) bool, true inside the box.
    """
    ratio = 4.0 ** (torch.rand(batch, device=device) - 0.5)
    tall = ((share * ratio).sqrt()).clamp(share, 1.0)
    wide = share / tall
    top = torch.rand(batch, device=device) * (1 - tall)
    left = torch.rand(batch, device=device) * (1 - wide)
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    rows = (y >= top[:, None]) & (y < (top + tall)[:, None])
    columns = (x >= left[:, None]) & (x < (left + wide)[:, None])
    return rows[:, :, None] & columns[:, None, :]


def mix_boxes(values: Tensor, box: Tensor) -> Tensor:
    """Inside the box take the pixel of the next sample of the batch; a batch of one is left as it
    is.

    Args:
        values: (B, H, W) or (B, C, H, W).
        box: (B, H, W) bool.
    """
    if values.ndim == 4:
        box = box[:, None]
    return torch.where(box, values.roll(-1, 0), values)
