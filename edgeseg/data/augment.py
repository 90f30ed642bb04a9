"""Augmentation in tensor code on the training device.

The weak one changes geometry, the strong one color, as in ST++ and UniMatch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.data.cutmix import place_boxes
from edgeseg.imaging.array_types import IGNORE

PADDING = 0.45  # a gray that normalizes to about 0


def weak_augment(
    images: Tensor, masks: Tensor, scale: tuple[float, float], inside: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Scale at random, crop to the same size and flip, image and mask alike.

    Args:
        images: (B, H, W, 3) uint8 RGB.
        masks: (B, H, W) uint8.
        scale: Least and greatest enlargement; below 1 the rest is padding.
        inside: (B, 4) as `RawBatch.inside` has it, where images have padding already.

    Returns:
        images (B, 3, H, W) float32 of 0 to 1, masks (B, H, W) int64 with 255 in the padding, and
        valid (B, H, W) bool, false in the padding.
    """
    batch, height, width = masks.shape
    device = images.device
    low, high = scale
    # Log-uniform: halving is as likely as doubling.
    zoom = low * (high / low) ** torch.rand(batch, device=device)
    # In `affine_grid` the image reaches from -1 to 1. At zoom 2 the window covers half of it, 1 / 2
    # to either side of its center, which can so move by 1 - 1 / 2; at zoom 0.5 the window is larger
    # than the image, and the room is negative, 1 - 2.
    room = 1 - 1 / zoom
    shift = room[:, None] * (2 * torch.rand(batch, 2, device=device) - 1)
    flip = torch.where(torch.rand(batch, device=device) < 0.5, -1.0, 1.0)
    theta = torch.zeros(batch, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = flip / zoom, 1 / zoom, shift
    grid = F.affine_grid(theta, [batch, 3, height, width], align_corners=False)
    valid = (grid.abs() <= 1).all(-1)
    if inside is not None:
        # Shares 0..1 of a side are -1..1 in the grid, whose last axis is (x, y).
        top, bottom, left, right = (2 * inside - 1)[:, None, None, :].unbind(-1)
        valid &= (grid[..., 1] > top) & (grid[..., 1] < bottom)
        valid &= (grid[..., 0] > left) & (grid[..., 0] < right)
    moved = F.grid_sample(
        images.permute(0, 3, 1, 2).float() / 255,
        grid,
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    moved = torch.where(valid[:, None], moved, PADDING)
    labels = F.grid_sample(
        masks[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    )
    return moved, labels[:, 0].round().long().masked_fill(~valid, IGNORE), valid


def strong_augment(images: Tensor) -> Tensor:
    """Apply color jitter (p 0.8), gray (p 0.2) and blur (p 0.5), each drawn for every image.

    Args:
        images: (B, 3, H, W) float of 0 to 1; left as it is.
    """
    # The three decimal digits of autocast are not enough for colors.
    with torch.autocast(images.device.type, enabled=False):
        return _blur(_recolor(images.float()))


def cutout(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Fill a box of 2 to 40 % of a frame with noise, with chance 0.5, and ignore its labels (ST++).

    Args:
        images: (B, 3, H, W) float of 0 to 1; left as it is.
        masks: (B, H, W) int64; left as it is.
    """
    batch, _, height, width = images.shape
    device = images.device
    share = 0.02 + 0.38 * torch.rand(batch, device=device)
    # Log-uniform from 0.3 to 1 / 0.3.
    ratio = 0.3 * (1 / 0.3**2) ** torch.rand(batch, device=device)
    box_height = (share * ratio).sqrt().clamp(max=1.0)
    box_width = (share / ratio).sqrt().clamp(max=1.0)
    box = place_boxes(box_height, box_width, height, width)
    chosen = torch.rand(batch, device=device) < 0.5
    box &= chosen[:, None, None]
    noisy = torch.where(box[:, None], torch.rand_like(images), images)
    return noisy, masks.masked_fill(box, IGNORE)


def _recolor(images: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue of the chosen images, and turn some gray."""
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
    """Return the gray value of each pixel, (B, 1, H, W), by the weights of ITU-R BT.601."""
    weight = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    return (images * weight).sum(1, keepdim=True)


def _shift_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Rotate the chroma plane of YIQ, which is linear and so one 3x3 matrix an image.

    Args:
        turn: (B, 1, 1, 1) angle in full circles.
    """
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
    """Blur half the images by a Gaussian of 9 pixels, its sigma 0.1 to 2.0."""
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
    # All images and channels as channels of one image, each convolved by its own kernel.
    kernel = kernel.repeat_interleave(channels, 0)
    rows = F.pad(images.reshape(1, -1, height, width), (radius,) * 4, mode="reflect")
    rows = F.conv2d(rows, kernel[:, None, None, :], groups=batch * channels)
    return F.conv2d(rows, kernel[:, None, :, None], groups=batch * channels).view_as(images)
