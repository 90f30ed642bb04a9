"""Masks as PNG files of class ids: gray as edgeseg stores them, palette as people look at them.

OpenCV, which writes the other files, writes no palette PNGs, so their chunks are put together here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Mask, Palette
from edgeseg.imaging.decoding.picture_file import (
    UnreadablePictureError,
    load_picture,
    open_picture,
    read_picture_file,
)
from edgeseg.imaging.palette import color_table

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE = 3  # a color type of PNG
UNREADABLE = "is missing, damaged or no 8-bit PNG of class ids; restore it or save it as one"


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
        data = read_picture_file(path)
        image = open_picture(data, ("PNG",))
        if image.mode not in ("L", "P") or data[24] != 8:
            raise UnreadablePictureError("is no 8-bit PNG of class ids")
        load_picture(image, data)
    except UnreadablePictureError:
        raise DataError(f"{path} {fault}") from None
    ids = np.array(image)
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


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG: length of the data, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
