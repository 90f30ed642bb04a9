"""Frame logs full of noise, for the tests of the frame log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.config import LogConfig
from edgeseg.imaging.array_types import Image
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.framelog.frame_selection import LogCandidate
from edgeseg.runtime.framelog.logging_rate import HOUR_NS
from edgeseg.runtime.framelog.record_header import RecordMetadata

CONTROL = LogCandidate("random", 0.01, ())
FLAGGED = LogCandidate("flagged", 1.0, ("black",))


def noise_image(seed: int, side: int = 64) -> Image:
    """Noise: nothing compresses it, and every seed looks different."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def blob_image(seed: int, height: int = 48, width: int = 64) -> Image:
    """Coarse blobs: images of different seeds look different, also to a perceptual hash."""
    blobs = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return blobs.repeat(height // 6, 0).repeat(width // 8, 1)


def record_metadata(**changes: Any) -> RecordMetadata:
    """Return what might be known about a frame of 64x48 pixels, with any change."""
    values: dict[str, Any] = {
        "device": "gauge-7",
        "camera": "ufer öst",
        "boot": 3,
        "seq": 41,
        "monotonic_ns": 10**12,
        "time": 1.5e9,
        "clock_synced": None,
        "model": "ab" * 32,
        "threshold": 0.3,
        "reason": "random",
        "probability": 0.013,
        "score": 0.4217,
        "flags": (),
        "height": 48,
        "width": 64,
    }
    return RecordMetadata(**{**values, **changes})


def open_log(folder: Path, clock: Callable[[], float] = lambda: 1.7e9, **changes: Any) -> FrameLog:
    """Open a log that leaves no space free, with any change of its configuration."""
    config = LogConfig(**{"min_free_bytes": 0, "random_share": 0.1, **changes})
    return FrameLog.open(
        folder, config, device="dev", model="m", threshold=0.3, clock=clock, seed=0
    )


def put_noise(
    log: FrameLog, seed: int, *, score: float = 0.5, hour: float = 0, side: int = 64, **more: Any
) -> Path:
    """Write one record of noise, taken so many hours after the clock's zero."""
    mask, entropy = np.full((8, 8), seed % 5, np.uint8), np.full((4, 4), 0.5, np.float32)
    return log.put(
        noise_image(seed, side),
        camera="cam",
        score=score,
        mask=mask,
        entropy=entropy,
        monotonic_ns=int(hour * HOUR_NS),
        **more,
    )


def offer_noise(log: FrameLog, seed: int, *, score: float = 0.9, now_ns: int = 0) -> None:
    """Offer one frame of noise."""
    log.offer(
        noise_image(seed), camera="cam", score=score, mask=None, entropy=None, monotonic_ns=now_ns
    )


def bytes_on_disk(folder: Path) -> int:
    """Return what the records take up, unfinished ones included."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*.esr*"))


def unfinished_records(folder: Path) -> list[str]:
    """Return the names of the records that are still being written, or were when it was killed."""
    return [path.name for path in (folder / "tmp").iterdir()]
