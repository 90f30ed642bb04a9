"""CutMix for segmentation: random boxes, and whatever belongs to a pixel moved together."""

from __future__ import annotations

import torch
from torch import Tensor


def random_boxes(
    batch: int, height: int, width: int, device: torch.device, share: float = 0.5
) -> Tensor:
    """Draw a box for each image that covers `share` of it, aspect ratio 1/2 to 2 where it fits.

    Returns:
        (B, H, W) bool, true inside the box.
    """
    # Sides as parts of the image's, whose product is `share`: for half an image, ratio 2 gives a
    # height of 1 and a width of 0.5, ratio 1 gives 0.71 for both.
    ratio = 4.0 ** (torch.rand(batch, device=device) - 0.5)
    box_height = ((share * ratio).sqrt()).clamp(share, 1.0)
    box_width = share / box_height
    return place_boxes(box_height, box_width, height, width)


def small_boxes(batch: int, height: int, width: int, device: torch.device) -> Tensor:
    """Draw a box for each image that covers 2 to 40 % of it, evenly distributed (UniMatch).

    Its aspect ratio, beside the image's, is 0.3 to 1 / 0.3 where that fits; a box of 40 % is then
    as high or as wide as the image at a ratio of 2.5.

    Returns:
        (B, H, W) bool, true inside the box.
    """
    share = 0.02 + 0.38 * torch.rand(batch, device=device)
    ratio = 0.3 ** (2 * torch.rand(batch, device=device) - 1)
    box_height = (share * ratio).sqrt().clamp(max=1.0).maximum(share)
    return place_boxes(box_height, share / box_height, height, width)


def place_boxes(box_height: Tensor, box_width: Tensor, height: int, width: int) -> Tensor:
    """Place a box at random inside each image.

    A pixel is inside when its center is: a box of 0.5 of the width that begins at 0.25 holds, of
    four columns with centers at 0.125, 0.375, 0.625 and 0.875, the middle two.

    Args:
        box_height, box_width: (B,) as parts of the image's, 0..1.
        height, width: of the images in pixels.

    Returns:
        (B, H, W) bool, true inside the box.
    """
    batch, device = len(box_height), box_height.device
    top = torch.rand(batch, device=device) * (1 - box_height)
    left = torch.rand(batch, device=device) * (1 - box_width)
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    rows = (y >= top[:, None]) & (y < (top + box_height)[:, None])
    columns = (x >= left[:, None]) & (x < (left + box_width)[:, None])
    return rows[:, :, None] & columns[:, None, :]


def mix_boxes(values: Tensor, box: Tensor, partner: Tensor | None = None) -> Tensor:
    """Take the pixels inside each box from another sample of the batch, the next one if not given.

    The last sample takes them from the first; a batch of one is left as it is.

    Args:
        values: (B, H, W) or (B, C, H, W).
        box: (B, H, W) bool.
        partner: (B,) int64, the sample that each one takes from.
    """
    if values.ndim == 4:
        box = box[:, None]
    return torch.where(box, values.roll(-1, 0) if partner is None else values[partner], values)
