"""A site of colored rectangles: class and color go together, so that a network learns something."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from edgeseg.config.template import create_site
from edgeseg.data.augment import weak_augment
from edgeseg.data.frame_reader import read_pseudo_label, read_site_frame
from edgeseg.imaging.array_types import IGNORE
from edgeseg.methods import Batch
from edgeseg.site import Frame, Site, Split

CLASSES = ("ground", "red", "blue")
COLORS = np.array([(40, 90, 40), (200, 60, 60), (60, 60, 220)], np.float32)


def small_site(root: Path) -> Site:
    """Four labelled, five unlabelled and three val frames of 64x64; opened if it is there."""
    return Site.open(root) if root.exists() else make_site(root, 64, val=3)


def make_site(root: Path, side: int, *, labelled: int = 4, footage: int = 5, val: int) -> Site:
    """A new site with so many frames of `side` squared in each split."""
    create_site(root, CLASSES)
    site = Site.open(root)
    counts: dict[Split, int] = {"labelled": labelled, "unlabelled": footage, "val": val}
    splits = [split for split, count in counts.items() for _ in range(count)]
    site.save_frames(
        [_make_frame(root, side, number, split) for number, split in enumerate(splits)]
    )
    return site


def _make_frame(root: Path, side: int, number: int, split: Split) -> Frame:
    random = np.random.default_rng(number)
    mask = np.zeros((side, side), np.uint8)
    for name in range(1, len(CLASSES)):
        top, left = random.integers(0, side // 2, 2)
        mask[top : top + 2 * side // 5, left : left + 2 * side // 5] = name
    image = COLORS[mask] + random.normal(0, 12, (side, side, 3))
    cv2.imwrite(str(root / f"{number}.png"), image.clip(0, 255).astype(np.uint8)[..., ::-1])
    cv2.imwrite(str(root / f"{number}-mask.png"), mask)
    return Frame(
        id=f"f{number}",
        camera="cam",
        time=float(number),
        source="rectangles",
        split=split,
        image=f"{number}.png",
        mask=None if split == "unlabelled" else f"{number}-mask.png",
        height=side,
        width=side,
        hash=f"{number:016x}",
        origin="footage" if split == "unlabelled" else "labels",
    )


def augmented_batch(
    site: Site, split: Split, frames: int, device: torch.device, labels: Path | None = None
) -> Batch:
    """The first frames of a split, augmented on the device as a training does.

    Args:
        site: At the size that the network sees.
        split: Which frames.
        frames: Their number.
        device: Where they go.
        labels: A folder of pseudo-labels; unlabelled frames have 255 everywhere without it.
    """
    images, masks = [], []
    for frame in site.require(split)[:frames]:
        image, mask = read_site_frame(site, frame)
        if mask is None and labels is not None:
            mask = read_pseudo_label(labels, frame)
        images.append(image)
        masks.append(np.full(image.shape[:2], IGNORE, np.uint8) if mask is None else mask)
    raw = [torch.from_numpy(np.stack(arrays)).to(device) for arrays in (images, masks)]
    return Batch(*weak_augment(raw[0], raw[1], (0.5, 2.0)))


def noise_batch(frames: int, side: int, device: torch.device, *, labelled: bool) -> Batch:
    """Frames of noise with labels of noise, on the device; 255 everywhere without labels."""
    images = torch.rand(frames, 3, side, side, device=device)
    masks = torch.full((frames, side, side), IGNORE, device=device)
    if labelled:
        masks = torch.randint(len(CLASSES), masks.shape, device=device)
    return Batch(images, masks, torch.ones_like(masks, dtype=torch.bool))
