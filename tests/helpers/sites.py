"""A tiny site to train on, and settings for a run of seconds. Imports no torch."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

from edgeseg.site import Frame, Site, Split

TINY = {
    "encoder": "mobilenetv2_035",
    "weights": "none",
    "imgsz": [64, 64],
    "batch": 2,
    "batch_unlabelled": 2,
    "steps": 4,
    "eval_every": 2,
    "checkpoint_every": 2,
    "rep_dim": 16,
    "workers": 1,
    "precision": "32",
    "device": "cpu",
}
COLORS = [(40, 90, 40), (200, 60, 60), (60, 60, 220)]


def make_site(root: Path) -> Site:
    """Colored rectangles: class and color go together, so a network can learn them in seconds."""
    root.mkdir(parents=True, exist_ok=True)
    lines = [
        f'[[classes]]\nname = "c{i}"\ncolor = "#{r:02x}{g:02x}{b:02x}"\n'
        for i, (r, g, b) in enumerate(COLORS)
    ]
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
                id=f"f{number}",
                camera="cam",
                time=float(number),
                source="s",
                split=split,
                image=f"{number}.png",
                mask=None if split == "unlabelled" else f"{number}-mask.png",
                height=64,
                width=64,
                hash="0" * 16,
                origin="footage" if split == "unlabelled" else "labels",
            )
        )
    site = Site.open(root)
    site.save_frames(frames)
    return site


def index_frame(
    time: float,
    *,
    source: str = "a.mp4",
    camera: str = "cam",
    split: Split = "unlabelled",
    bits: int | None = None,
) -> Frame:
    """Return a frame of the index; two with different arguments have different hashes."""
    identity = f"{camera}-{source}-{time}"
    value = zlib.crc32(identity.encode()) * 0x1_0000_0001 if bits is None else bits
    return Frame(
        id=identity,
        camera=camera,
        time=time,
        source=source,
        split=split,
        image="",
        mask=None,
        height=8,
        width=8,
        hash=f"{value:016x}",
        origin="footage",
    )
