"""Pseudo-labels of footage by test-time augmentation.

They are the mean prediction over scaled and flipped views.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.atomic_files import write_atomic
from edgeseg.data.frame_reader import FrameReader
from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.image_codec import encode_png
from edgeseg.losses.shared.resize import upsample
from edgeseg.models import Network
from edgeseg.progress import ProgressReporter
from edgeseg.site import Frame
from edgeseg.training.model_evaluation import normalize_images

SCALES = (1.0, 0.75, 1.25)
STRIDE = 32  # sides of scaled views are multiples of it


def write_pseudo_labels(
    network: Network,
    reader: FrameReader,
    frames: list[Frame],
    folder: Path,
    *,
    views: int,
    device: torch.device,
    report: ProgressReporter,
) -> None:
    """Write the masks of `frames` that are not in the folder yet.

    They are `<frame id>.png` at training size, `IGNORE` in the padding.

    Args:
        network: In eval mode on `device`.
        reader: Gives the images, those of other frames too.
        frames: The frames to label.
        folder: Where the masks go.
        views: Number of views of each image, 1 to 6.
        device: Where to compute.
        report: Is told of every frame.
    """
    missing = {frame.id for frame in frames if not (folder / f"{frame.id}.png").exists()}
    report.advance(len(frames) - len(missing))
    for index, frame in enumerate(reader.frames):
        if frame.id in missing:
            image, _ = reader[index]
            mask = predict_views(network, image, views, device)
            if (box := reader.inside(index)) is not None:
                shown = mask[box.slices]
                mask = np.full_like(mask, IGNORE)
                mask[box.slices] = shown
            write_atomic(folder / f"{frame.id}.png", encode_png(mask), sync=False)
            report.advance(1)


@torch.inference_mode()
def predict_views(network: Network, image: Image, views: int, device: torch.device) -> Mask:
    """Return the most likely class by the mean softmax over views of an image.

    Args:
        network: In eval mode on `device`.
        image: (H, W, 3) uint8 RGB.
        views: How many of the six views are taken: as it is and flipped, at scale 1, 0.75, 1.25.
        device: Where to compute.

    Returns:
        (H, W) uint8.
    """
    whole = normalize_images([image], network.normalization, device)
    size = (image.shape[0], image.shape[1])
    total = torch.zeros((), device=device)
    variants = [(scale, flipped) for scale in SCALES for flipped in (False, True)]
    for scale, flipped in variants[: max(1, views)]:
        view = _scaled(whole, scale)
        logits = network(view.flip(3) if flipped else view).logits
        probability = upsample(logits, size).softmax(1)
        total = total + (probability.flip(3) if flipped else probability)
    return np.asarray(total.argmax(1)[0].to(torch.uint8).cpu().numpy(), np.uint8)


def _scaled(image: Tensor, scale: float) -> Tensor:
    """Scale (B, 3, H, W) so that both sides are multiples of the networks' stride.

    At 0.75, 200 pixels become 160: of the multiples of 32 the nearest to 150.
    """
    if scale == 1:
        return image
    sides = [max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in image.shape[2:]]
    return F.interpolate(image, sides, mode="bilinear", antialias=True)
