"""Masks as PNG files of class ids: gray as edgeseg stores them, palette as people look at them.

OpenCV neither writes palette PNGs nor reads their indices (it returns the colors), so their chunks
are put together and taken apart here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Mask, Palette
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.palette import color_table

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_END = 33  # signature (8 bytes), then IHDR: length (4), kind (4), data (13), checksum (4)
GRAY, PALETTE = 0, 3  # color types of PNG
UNREADABLE = "is missing, damaged or no 8-bit PNG of class ids; for color masks pip install pillow"


def read_mask(path: Path, *, ignore: Collection[int] = (), fault: str = UNREADABLE) -> Mask:
    """Read a PNG of class ids, gray or palette with 8 bits, which is what edgeseg writes.

    Args:
        ignore: ids that mean "not labelled", beside `IGNORE`.
        fault: the words that follow the path in the error: what is wrong and what to do.

    Returns:
        (H, W) uint8, `IGNORE` where nothing is labelled.

    Raises:
        DataError: The file is missing, damaged or of another kind.
    """
    try:
        data = np.frombuffer(palette_to_gray_png(path.read_bytes()), np.uint8)
        mask = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except (OSError, cv2.error):
        mask = None
    if mask is None or mask.ndim != 2 or mask.dtype != np.uint8:
        raise DataError(f"{path} {fault}")
    ids = np.array(mask, np.uint8)
    if ignore:
        ids[np.isin(ids, list(ignore))] = IGNORE
    return ids


def encode_palette_png(mask: Mask, palette: Palette) -> bytes:
    """Return a PNG whose pixel values are class ids and which viewers show in the classes' colors.

    Args:
        mask: (H, W) uint8.
        palette: RGB of each class.
    """
    height, width = mask.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = mask
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, PALETTE, 0, 0, 0)),
            _chunk(b"PLTE", color_table(palette).tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)),
            _chunk(b"IEND", b""),
        )
    )


def palette_to_gray_png(data: bytes) -> bytes:
    """Return an 8-bit palette PNG as a gray one of the same values; other files as they are.

    Bytes 24 and 25 of a PNG are bit depth and color type. The header is written anew with color
    type gray, the chunks PLTE and tRNS are left out, and all others are copied: a chunk with 10
    bytes of data that starts at byte 33 ends at 33 + 12 + 10 = 55, where the next one starts.
    """
    if len(data) < HEADER_END or data[:8] != SIGNATURE or data[24:26] != bytes((8, PALETTE)):
        return data
    chunks = [SIGNATURE, _chunk(b"IHDR", data[16:25] + bytes((GRAY,)) + data[26:29])]
    start = HEADER_END
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if data[start + 4 : start + 8] not in (b"PLTE", b"tRNS"):
            chunks.append(data[start:end])
        start = end
    return b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG: length of the data, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
