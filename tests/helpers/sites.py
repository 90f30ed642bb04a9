"""Tiny sites: one to train on in seconds, and one of noise whose frames are cached.

Imports torch only where frames are read.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edgeseg.progress import NullReporter
from edgeseg.site import Frame, Site, Split

if TYPE_CHECKING:
    from edgeseg.data.frame_reader import SiteFrameReader

TINY = {
    "encoder": "test_resnet",
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
CACHED_SIZE = (32, 64)
RECORD_BYTES = 32 * 64 * 4 + 4  # bytes of a frame: image, mask and checksum
LABELLED_FRAMES = 6  # labelled ones


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
    counts: dict[Split, int] = {"labelled": 4, "unlabelled": 5, "val": 3}
    splits = [split for split, count in counts.items() for _ in range(count)]
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


class Messages(NullReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def make_noise_site(root: Path) -> Site:
    """Six labelled and two unlabelled frames of noise, larger than they are trained at."""
    root.mkdir()
    classes = "".join(f'[[classes]]\nname = "c{i}"\ncolor = "#00000{i}"\n' for i in range(3))
    (root / "edgeseg.toml").write_text(classes)
    rng = np.random.default_rng(0)
    frames = []
    for number in range(LABELLED_FRAMES + 2):
        masked = number < LABELLED_FRAMES
        cv2.imwrite(str(root / f"{number}.png"), rng.integers(0, 256, (48, 80, 3), np.uint8))
        if masked:
            cv2.imwrite(str(root / f"{number}-mask.png"), rng.integers(0, 3, (48, 80), np.uint8))
        frames.append(
            Frame(
                id=f"f{number}",
                camera="cam",
                time=float(number),
                source="s",
                split="labelled" if masked else "unlabelled",
                image=f"{number}.png",
                mask=f"{number}-mask.png" if masked else None,
                height=48,
                width=80,
                hash="0" * 16,
                origin="labels",
            )
        )
    site = Site.open(root)
    site.save_frames(frames)
    return site


def with_cache_limit(site: Site, bound: int) -> Site:
    return Site.open(site.root, [f"data.cache_bytes={bound}"])


def labelled_reader(
    site: Site, messages: Messages | None = None, size: tuple[int, int] = CACHED_SIZE
) -> SiteFrameReader:
    from edgeseg.data.frame_reader import SiteFrameReader

    return SiteFrameReader(site, site.frames("labelled"), size, report=messages)


def all_bytes(frames: SiteFrameReader) -> bytes:
    return b"".join(part.tobytes() for index in range(len(frames)) for part in frames[index])


def bytes_without_cache(site: Site, size: tuple[int, int] = CACHED_SIZE) -> bytes:
    """The contents of the frames without a cache."""
    return all_bytes(labelled_reader(with_cache_limit(site, 0), size=size))


def cache_files(site: Site) -> list[Path]:
    return sorted((site.root / "cache").glob("*.u8"))


def watch_decoding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that receives the ids of the frames that are decoded from now on."""
    from edgeseg.data import frame_reader

    decoded_ids: list[str] = []
    read = frame_reader.read_site_frame

    def watched(site: Site, frame: Frame) -> object:
        decoded_ids.append(frame.id)
        return read(site, frame)

    monkeypatch.setattr(frame_reader, "read_site_frame", watched)
    return decoded_ids
