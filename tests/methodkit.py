"""Small networks, batches and a site for tests of training methods."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from edgeseg.config import TrainConfig, validate
from edgeseg.methods import Batch, Kit
from edgeseg.models import Network, build
from edgeseg.site import Frame, Site, Split

TINY = {
    "encoder": "mobilenetv2_035", "weights": "none", "imgsz": [64, 64], "batch": 2, "batch_unlabelled": 2, "steps": 4,
    "eval_every": 2, "checkpoint_every": 2, "rep_dim": 16, "workers": 1, "precision": "32", "device": "cpu",
}  # fmt: skip
COLORS = [(40, 90, 40), (200, 60, 60), (60, 60, 220)]


def config(**changes: object) -> TrainConfig:
    """Of a run that takes seconds."""
    return validate(TrainConfig, TINY | changes, "test")


def kit(classes: int, pixels: torch.Tensor | None = None, **changes: object) -> Kit:
    """The parts of a method for a small network with a representation head."""
    settings = config(**changes)

    def network() -> Network:
        return build(settings.arch, settings.encoder, classes, "none", settings.rep_dim)

    return Kit(network(), torch.ones(classes) if pixels is None else pixels, settings, network)


def batch(number: int, classes: int, *, seed: int = 0, size: int = 64, labelled: bool = True) -> Batch:
    """Frames of coloured rectangles, one colour a class; without `labelled`, masks of 255."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 256, (classes, 3)) if classes > len(COLORS) else np.asarray(COLORS[:classes])
    masks = np.zeros((number, size, size), np.int64)
    for mask in masks:
        for name in range(1, classes):
            top, left = rng.integers(0, size // 2, 2)
            mask[top : top + size // 3, left : left + size // 3] = name
    images = torch.from_numpy(colors[masks].astype(np.float32) / 255).permute(0, 3, 1, 2)
    noisy = (images + 0.05 * torch.from_numpy(rng.normal(size=tuple(images.shape))).float()).clamp(0, 1)
    truth = torch.from_numpy(masks)
    everywhere = torch.ones_like(truth, dtype=torch.bool)
    return Batch(noisy, truth if labelled else torch.full_like(truth, 255), everywhere)


def make_site(root: Path) -> Site:
    """Coloured rectangles: class and colour go together, so a network can learn them in seconds."""
    lines = [f'[[classes]]\nname = "c{i}"\ncolor = "#{r:02x}{g:02x}{b:02x}"\n' for i, (r, g, b) in enumerate(COLORS)]
    (root / "edgeseg.toml").write_text("".join(lines))
    rng = np.random.default_rng(0)
    frames = []
    splits: list[Split] = ["labelled"] * 4 + ["unlabelled"] * 5 + ["val"] * 3  # type: ignore[assignment]
    for number, split in enumerate(splits):
        mask = np.zeros((64, 64), np.uint8)
        for name in (1, 2):
            top, left = rng.integers(0, 36, 2)
            mask[top : top + 26, left : left + 26] = name
        image = np.asarray(COLORS, np.float32)[mask] + rng.normal(0, 12, (64, 64, 3))
        cv2.imwrite(str(root / f"{number}.png"), np.clip(image, 0, 255).astype(np.uint8)[..., ::-1])
        cv2.imwrite(str(root / f"{number}-mask.png"), mask)
        frames.append(
            Frame(
                id=f"f{number}", camera="cam", time=float(number), source="s", split=split, image=f"{number}.png",
                mask=None if split == "unlabelled" else f"{number}-mask.png", height=64, width=64, hash="0" * 16,
                origin="footage" if split == "unlabelled" else "labels",
            )
        )  # fmt: skip
    site = Site.open(root)
    site.save_frames(frames)
    return site


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The last weights of a run."""
    return load_file(run / "weights" / "last.safetensors")


def same(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same weights, bit for bit."""
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
