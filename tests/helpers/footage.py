"""Small pictures, videos and sites for the data tests."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeseg.config.template import create_site
from edgeseg.imaging.array_types import Image as ImageArray
from edgeseg.imaging.array_types import Mask as MaskArray
from edgeseg.site import Site


def scene(seed: int, height: int = 96, width: int = 128) -> ImageArray:
    """A soft random picture; two seeds never look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def new_site(
    folder: Path,
    classes: Sequence[str] = ("sky", "water", "bank"),
    overrides: list[str] | None = None,
) -> Site:
    """A new empty site."""
    create_site(folder, classes)
    return Site.open(folder, overrides)


def save_image(
    path: Path, picture: NDArray[np.uint8] | NDArray[np.uint16], quality: int = 95
) -> Path:
    """Write RGB, RGBA or gray in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=quality)
    return path


def save_video(path: Path, pictures: Sequence[ImageArray], fps: float = 10) -> Path:
    """An MJPEG file of RGB pictures."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for picture in pictures:
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()
    return path


def huge_png(path: Path) -> Path:
    """A PNG of a few bytes that declares 60000x60000 pixels."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + png_chunk(b"IEND", b"")
    )
    return path


def save_palette_png(path: Path, mask: MaskArray, bits: int = 8) -> Path:
    """Indices with colors that have nothing to do with the classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask).copy()
    image.putpalette([value for index in range(256) for value in (255 - index, 7, index)])
    image.save(path, bits=bits)
    return path


def save_palette(path: Path, indices: MaskArray, colors: NDArray[np.uint8], **options: int) -> Path:
    """Indices with these (K, 3) RGB colors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices).copy()
    image.putpalette(colors.ravel().tolist())
    image.save(path, None, **options)
    return path


def save_gray_png(path: Path, mask: MaskArray, depth: int) -> Path:
    """Gray of 1, 2 or 4 bits, which Pillow cannot write."""
    rows = b""
    for row in mask:
        bits = "".join(f"{value:0{depth}b}" for value in row)
        bits += "0" * (-len(bits) % 8)
        rows += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")

    header = struct.pack(">IIBBBBB", mask.shape[1], mask.shape[0], depth, 0, 0, 0, 0)
    body = (
        png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Length, kind, data and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def file_contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, locks aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
