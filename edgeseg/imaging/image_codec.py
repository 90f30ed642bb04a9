"""JPEG and PNG in memory; sizes are read from a picture's own header and bounded before anything is
decoded.

A few patched bytes make OpenCV allocate gigabytes, and a decoder that succeeds has not checked that
the bytes are
intact: callers compare digests first.
"""

from __future__ import annotations

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2

MAX_SIDE = 16384
MAX_PIXELS = 50_000_000  # 150 MB once decoded


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Compress (H, W, 3) uint8 RGB.

    Raises:
        ValueError: it is no picture.
    """
    try:
        bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    except cv2.error as error:
        raise ValueError(f"the frame cannot be compressed: {error}") from None


def encode_gray(values: Image) -> bytes:
    """Compress (H, W) uint8 without loss, as PNG.

    Raises:
        ValueError: it is no picture.
    """
    try:
        return cv2.imencode(".png", np.ascontiguousarray(values))[1].tobytes()
    except cv2.error as error:
        raise ValueError(f"the map cannot be compressed: {error}") from None


def decode_jpeg(data: bytes, height: int, width: int) -> Image:
    """(H, W, 3) uint8 RGB from a JPEG that must be of the given size.

    Raises:
        ValueError: it is not, or is damaged.
    """
    if _jpeg_size(data) != (height, width):
        raise ValueError(f"is no JPEG of {width}x{height}")
    return np.ascontiguousarray(
        _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[:, :, ::-1]
    )


def decode_gray(data: bytes) -> Image:
    """(H, W) uint8 from an 8-bit gray PNG.

    Raises:
        ValueError: it is none, too large, or damaged.
    """
    height, width = _png_size(data)
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and height * width <= MAX_PIXELS):
        raise ValueError("is no 8-bit gray PNG, or too large")
    return _decode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)


def _decode(data: bytes, how: int) -> Image:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:
        picture = None
    if picture is None:
        raise ValueError("cannot be decoded")
    return picture.astype(np.uint8, copy=False)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) from the frame header, or None where the markers before it are not in order."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(
                data[at + 7 : at + 9], "big"
            )
        if length < 2 or marker < 0xC0 or 0xD0 <= marker <= 0xDA:
            return None
        at += 2 + length
    return None


def _png_size(data: bytes) -> tuple[int, int]:
    """(height, width) of an 8-bit gray PNG; zeros for anything else."""
    if data[:16] != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" or data[24:26] != b"\x08\0":
        return 0, 0
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
