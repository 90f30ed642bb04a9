"""Augmentation in tensor code on the training device: geometry for every view, color for the
strong one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.imaging.array_types import IGNORE


def weak_augment(
    images: Tensor, masks: Tensor, scale: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Random scale, crop to the same size and flip, image and mask alike.

    Args:
        images: (B, H, W, 3) uint8 RGB.
        masks: (B, H, W) uint8.
        scale: least and greatest enlargement; below 1 the rest is padding.

    Returns:
        images (B, 3, H, W) float32 0..1, masks (B, H, W) int64 with 255 in the padding, valid (B,
        H, W) bool.
    """
    batch, height, width = masks.shape
    device = images.device
    low, high = scale
    zoom = low * (high / low) ** torch.rand(
        batch, device=device
    )  # log-uniform: halving is as likely as doubling
    room = (
        1 - 1 / zoom
    )  # how far the window can move; negative when the image is smaller than the window
    shift = room[:, None] * (2 * torch.rand(batch, 2, device=device) - 1)
    flip = torch.where(torch.rand(batch, device=device) < 0.5, -1.0, 1.0)
    theta = torch.zeros(batch, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = flip / zoom, 1 / zoom, shift
    grid = F.affine_grid(theta, [batch, 3, height, width], align_corners=False)
    picture = images.permute(0, 3, 1, 2).float() / 255
    moved = F.grid_sample(
        picture, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    valid = (grid.abs() <= 1).all(-1)
    label = F.grid_sample(
        masks[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    label = label[:, 0].round().long().masked_fill(~valid, IGNORE)
    moved = torch.where(valid[:, None], moved, 0.45)  # a gray that normalizes to about 0
    return moved, label, valid


def strong_augment(images: Tensor) -> Tensor:
    """Color jitter (p 0.8), gray (p 0.2) and blur (p 0.5), each drawn for every image: the set of
    ST++ and UniMatch.

    Args:
        images: (B, 3, H, W) float 0..1; left as it is.
    """
    with torch.autocast(
        images.device.type, enabled=False
    ):  # three decimal digits are not enough for colors
        return _blur(_recolor(images.float()))


def cutout(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """With chance 0.5 a box of 2 to 40 % of a frame becomes noise, and its labels are ignored (the
    set of ST++).

    Args:
        images: (B, 3, H, W) float 0..1; left as it is.
        masks: (B, H, W) int64; left as it is.
    """
    batch, _, height, width = images.shape
    device = images.device
    share = 0.02 + 0.38 * torch.rand(batch, device=device)
    ratio = 0.3 * (1 / 0.3**2) ** torch.rand(
        batch, device=device
    )  # log-uniform from 0.3 to 1 / 0.3
    tall, wide = (share * ratio).sqrt().clamp(max=1.0), (share / ratio).sqrt().clamp(max=1.0)
    top, left = (torch.rand(batch, device=device) * (1 - side) for side in (tall, wide))
    y, x = ((torch.arange(side, device=device) + 0.5) / side for side in (height, width))
    rows = (y >= top[:, None]) & (y < (top + tall)[:, None])
    columns = (x >= left[:, None]) & (x < (left + wide)[:, None])
    hole = (
        rows[:, :, None]
        & columns[:, None, :]
        & (torch.rand(batch, device=device) < 0.5)[:, None, None]
    )
    return torch.where(hole[:, None], torch.rand_like(images), images), masks.masked_fill(
        hole, IGNORE
    )


def _recolor(images: Tensor) -> Tensor:
    batch, device = len(images), images.device

    def amount(strength: float) -> Tensor:
        value = 1 + strength * (2 * torch.rand(batch, 1, 1, 1, device=device) - 1)
        return torch.where(chosen, value, 1.0)

    chosen = torch.rand(batch, 1, 1, 1, device=device) < 0.8
    result = images * amount(0.5)
    mean = _luma(result).mean((2, 3), keepdim=True)
    result = mean + (result - mean) * amount(0.5)
    gray = _luma(result)
    saturation = torch.where(torch.rand(batch, 1, 1, 1, device=device) < 0.2, 0.0, amount(0.5))
    result = gray + (result - gray) * saturation
    result = _shift_hue(
        result, torch.where(chosen, (torch.rand(batch, 1, 1, 1, device=device) - 0.5) * 0.5, 0.0)
    )
    return result.clamp(0, 1)


def _luma(images: Tensor) -> Tensor:
    weight = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    return (images * weight).sum(1, keepdim=True)


def _shift_hue(images: Tensor, turn: Tensor) -> Tensor:
    # A rotation of the chroma plane of YIQ, which is linear and so one 3x3 matrix an image; `turn`
    # in full circles.
    to_yiq = torch.tensor(
        [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]],
        device=images.device,
    )
    angle = 2 * torch.pi * turn.flatten()
    rotate = torch.zeros(len(images), 3, 3, device=images.device)
    rotate[:, 0, 0] = 1
    rotate[:, 1, 1] = rotate[:, 2, 2] = angle.cos()
    rotate[:, 1, 2], rotate[:, 2, 1] = -angle.sin(), angle.sin()
    matrix = torch.linalg.inv(to_yiq) @ rotate @ to_yiq
    return torch.einsum("bij,bjhw->bihw", matrix, images)


def _blur(images: Tensor) -> Tensor:
    batch, channels, height, width = images.shape
    radius = 4
    if min(height, width) <= radius:
        return images
    sigma = 0.1 + 1.9 * torch.rand(batch, 1, device=images.device)
    offset = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (offset / sigma) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    identity = (offset == 0).float().expand_as(kernel)
    kernel = torch.where(torch.rand(batch, 1, device=images.device) < 0.5, kernel, identity)
    kernel = kernel.repeat_interleave(channels, 0)
    rows = F.pad(images.reshape(1, -1, height, width), (radius,) * 4, mode="reflect")
    rows = F.conv2d(rows, kernel[:, None, None, :], groups=batch * channels)
    return F.conv2d(rows, kernel[:, None, :, None], groups=batch * channels).view_as(images)
