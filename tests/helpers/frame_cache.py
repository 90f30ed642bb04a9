"""A site of noise, and its frames with and without the cache."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.data import frame_reader
from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.progress import NullReporter
from edgeseg.site import Frame, Site

SIZE = (32, 64)
RECORD = 32 * 64 * 4 + 4  # bytes of a frame: image, mask and checksum
FRAMES = 6  # labelled ones


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
    for number in range(FRAMES + 2):
        masked = number < FRAMES
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
    site: Site, messages: Messages | None = None, size: tuple[int, int] = SIZE
) -> SiteFrameReader:
    return SiteFrameReader(site, site.frames("labelled"), size, report=messages)


def all_bytes(frames: SiteFrameReader) -> bytes:
    return b"".join(part.tobytes() for index in range(len(frames)) for part in frames[index])


def bytes_without_cache(site: Site, size: tuple[int, int] = SIZE) -> bytes:
    """The contents of the frames without a cache."""
    return all_bytes(labelled_reader(with_cache_limit(site, 0), size=size))


def cache_files(site: Site) -> list[Path]:
    return sorted((site.root / "cache").glob("*.u8"))


def watch_decoding(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that receives the ids of the frames that are decoded from now on."""
    decoded_ids: list[str] = []
    read = frame_reader.read_site_frame

    def watched(site: Site, frame: Frame) -> object:
        decoded_ids.append(frame.id)
        return read(site, frame)

    monkeypatch.setattr(frame_reader, "read_site_frame", watched)
    return decoded_ids
