"""Masks as palette PNGs, which OpenCV neither writes nor reads: class ids for programs, colors for
people.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
IGNORED = (0, 0, 0)  # color of every id that is no class, 255 among them


def encode_palette_png(mask: NDArray[np.uint8], palette: Sequence[tuple[int, int, int]]) -> bytes:
    """The bytes of a PNG whose pixel values are class ids and which viewers show in the classes'
    colors.

    Args:
        mask: (H, W) uint8.
        palette: RGB of each class.
    """
    height, width = mask.shape
    table = np.full((256, 3), IGNORED, np.uint8)
    table[: len(palette)] = np.reshape(palette, (-1, 3))
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = mask
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", table.tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def palette_to_gray_png(data: bytes) -> bytes:
    """An 8-bit palette PNG as a gray one of the same values, so that OpenCV reads indices; other
    files as they are.
    """
    if (
        not data.startswith(SIGNATURE) or len(data) < 33 or data[24:26] != b"\x08\x03"
    ):  # bit depth, color type
        return data
    parts, at = [SIGNATURE, _chunk(b"IHDR", data[16:25] + b"\x00" + data[26:29])], 33
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] not in (b"PLTE", b"tRNS"):
            parts.append(data[at : at + 12 + length])
        at += 12 + length
    return b"".join(parts)
