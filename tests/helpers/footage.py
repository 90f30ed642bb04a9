"""Small pictures, videos and sites for the data tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeseg.config.template import create_site
from edgeseg.site import Site

Picture = NDArray[np.uint8]


def scene(seed: int, height: int = 96, width: int = 128) -> Picture:
    """A soft random picture; two seeds never look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def site(
    folder: Path,
    classes: Sequence[str] = ("sky", "water", "bank"),
    overrides: list[str] | None = None,
) -> Site:
    """A new empty site."""
    create_site(folder, classes)
    return Site.open(folder, overrides)


def save(path: Path, picture: NDArray[np.uint8] | NDArray[np.uint16], quality: int = 95) -> Path:
    """Write RGB, RGBA or gray in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=quality)
    return path


def video(path: Path, pictures: Sequence[Picture], fps: float = 10) -> Path:
    """An MJPEG file of RGB pictures."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for picture in pictures:
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()
    return path


def huge_png(path: Path) -> Path:
    """A PNG of a few bytes that declares 60000x60000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, locks aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
