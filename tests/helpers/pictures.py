"""Pictures for the tests of the decoder: of every depth and kind, and dangerous ones."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.helpers.footage import png_chunk

Values = NDArray[Any]  # Any: unsigned or signed integers, or floats
ORIENTATION = 0x0112


def encoded(image: Image.Image, kind: str, orientation: int = 1, **options: Any) -> bytes:
    """The bytes of a file of a kind such as "PNG".

    Args:
        options: Of Pillow's writer.
    """
    if orientation != 1:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def deep_png(values: Values, *, alpha: bool = False) -> bytes:
    """A PNG of 16 bits: gray of (H, W), or color of (H, W, 3); Pillow writes the former only."""
    planes = values[..., None] if values.ndim == 2 else values
    if alpha:
        planes = np.concatenate([planes, np.full_like(planes[..., :1], 0x8001)], axis=2)
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[planes.shape[2]]
    rows = planes.astype(">u2").reshape(len(planes), -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(values.shape[1], values.shape[0], color_type, 16, raw)


def png(width: int, height: int, color_type: int, bits: int, raw: bytes, *more: bytes) -> bytes:
    """A PNG of these rows, each with its filter byte, and further chunks before them."""
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), *more, png_chunk(b"IDAT", zlib.compress(raw))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


def tiff(values: Values, *, order: Literal["<", ">"] = "<", **tags: int) -> bytes:
    """An uncompressed TIFF of one strip, gray of (H, W) or color of (H, W, 3).

    Args:
        order: "<" or ">", of the bytes.
        tags: Further tags, or other values, by their numbers: `t322=8` is tag 322.
    """
    bands = 1 if values.ndim == 2 else values.shape[2]
    bits = 8 * values.dtype.itemsize
    pixels = values.astype(values.dtype.newbyteorder(order)).tobytes()
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries = {
        256: values.shape[1],
        257: values.shape[0],
        258: bits,
        259: 1,
        262: 2 if bands == 3 else 1,
        273: 8,
        277: bands,
        278: values.shape[0],
        279: len(pixels),
        339: kind,
    }
    entries |= {int(name[1:]): value for name, value in tags.items()}
    table = struct.pack(f"{order}H", len(entries))
    for tag in sorted(entries):
        table += struct.pack(f"{order}HHII", tag, 4, 1, entries[tag])
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(pixels))
    return start + pixels + table + b"\0\0\0\0"


def webp_canvas(width: int, height: int) -> bytes:
    """A WebP of a few bytes that declares a canvas of this size."""
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0"
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def thermal(seed: int, height: int = 96, width: int = 128) -> NDArray[np.uint16]:
    """Counts of a radiometric camera, 7000 to 8500: a soft picture with a warm square."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.uniform(7000, 7600, (8, 9)).astype(np.float32))
    counts = np.array(coarse.resize((width, height), Image.Resampling.BICUBIC))
    top, left = int(random.integers(0, height // 2)), int(random.integers(0, width // 2))
    counts[top : top + height // 3, left : left + width // 3] += 900
    return counts.clip(7000, 8500).astype(np.uint16)


def save_bytes(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
