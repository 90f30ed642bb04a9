"""A small site whose classes are told by color, and a run with a tiny network that has learned
them.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from edgeseg.config.template import create_site
from edgeseg.models import build_network
from edgeseg.models.model_files import ModelCard, save_card, save_weights
from edgeseg.site import Frame, Site, Split

CLASSES = ("sky", "water", "bank")
COLORS = np.array([[90, 160, 230], [40, 70, 60], [200, 150, 60]], np.uint8)
HEIGHT, WIDTH = 64, 96
ENCODER = "mobilenetv2_050"
Array = NDArray[np.uint8]


def picture(seed: int) -> tuple[Array, Array]:
    """A noisy image (H, W, 3) of colored tiles, and its mask (H, W)."""
    random = np.random.default_rng(seed)
    mask = np.kron(random.integers(0, 3, (2, 3)), np.ones((32, 32), int)).astype(np.uint8)
    noisy = COLORS[mask].astype(int) + random.normal(0, 18, (HEIGHT, WIDTH, 3))
    return noisy.clip(0, 255).astype(np.uint8), mask


def make_site(folder: Path, *, val: int = 5, unlabelled: int = 8) -> Site:
    """A site with 4 labelled frames and the given numbers of val and unlabelled ones, from two
    cameras.
    """
    create_site(folder, CLASSES)
    site = Site.open(folder)
    frames = []
    numbers: dict[Split, int] = {"labelled": 4, "val": val, "unlabelled": unlabelled}
    splits = [split for split, number in numbers.items() for _ in range(number)]
    for number, split in enumerate(splits):
        image, mask = picture(number)
        name = f"frame{number}"
        for folder_name, value in (("frames", image[..., ::-1]), ("masks", mask)):
            (site.root / folder_name).mkdir(exist_ok=True)
            cv2.imwrite(str(site.root / folder_name / f"{name}.png"), value)
        frames.append(
            Frame(
                id=name,
                camera="one" if number % 3 else "two",
                time=float(number),
                source="tiles",
                split=split,
                image=f"frames/{name}.png",
                mask=None if split == "unlabelled" else f"masks/{name}.png",
                height=HEIGHT,
                width=WIDTH,
                hash=f"{number:016x}",
                origin="footage",
            )
        )
    site.save_frames(frames)
    return site


def make_run(
    site: Site, steps: int = 30, arch: str = "deeplabv3plus", encoder: str = ENCODER
) -> Path:
    """`runs/distill/exp1` of the site with a network trained for a few seconds."""
    torch.manual_seed(0)
    network = build_network(arch, encoder, 3, size=(HEIGHT, WIDTH))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    mean, std = network.normalization.tensors()
    network.train()
    for step in range(steps):
        images, masks = zip(*(picture(1000 + 6 * step + place) for place in range(6)))
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
        logits = network((batch - mean) / std).logits
        target = torch.from_numpy(np.stack(masks)).long()
        loss = F.cross_entropy(F.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear"), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    run = site.root / "runs" / "distill" / "exp1"
    save_card(
        run,
        ModelCard(
            arch=arch,
            encoder=encoder,
            classes=site.config.classes,
            height=HEIGHT,
            width=WIDTH,
            mean=network.normalization.mean,
            std=network.normalization.std,
        ),
    )
    save_weights(run, "best", network.eval())
    (run / "config.toml").write_text(f'encoder = "{encoder}"\nweights = "none"\n')
    (run / "origin.json").write_text(
        json.dumps({"teacher": str(site.root / "runs" / "train" / "exp1"), "init": None})
    )
    (run / "metrics.json").write_text("{}")
    return run
