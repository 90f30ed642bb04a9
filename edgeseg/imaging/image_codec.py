"""JPEG and PNG in memory and from files, decoded by OpenCV.

A few patched bytes make OpenCV allocate gigabytes, so the sizes of pictures that come from a frame
log are read from their own headers and bounded before anything is decoded. A decoder that succeeds
has not checked that the bytes are intact: callers compare digests first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2

MAX_SIDE = 16384
MAX_PIXELS = 50_000_000  # 150 MB once decoded
MAX_FILE_BYTES = 1_000_000_000
# By the first bytes of a format, what a whole file of it ends with: OpenCV pads a truncated file
# with gray instead of refusing it.
END_MARKS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}
# Kinds of JPEG segments between 0xC0 and 0xCF that carry no frame header: Huffman tables (DHT), a
# reserved one (JPG) and arithmetic coding tables (DAC).
NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)


def read_image(path: Path | str) -> Image | None:
    """Decode a picture to (H, W, 3) uint8 RGB; None if it is missing, truncated or no picture."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    end_marks = [end for start, end in END_MARKS.items() if data.startswith(start)]
    if not data or any(data.rfind(end) < 0 for end in end_marks):
        return None
    try:
        return np.asarray(
            cv2.cvtColor(_decode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8
        )
    except ValueError:  # among others, more pixels than OpenCV is willing to hold
        return None


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Compress (H, W, 3) uint8 RGB as JPEG.

    Raises:
        ValueError: It is no picture.
    """
    try:
        bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    except cv2.error as error:
        raise ValueError(f"the frame cannot be compressed: {error}") from None


def encode_png(image: Image) -> bytes:
    """Compress (H, W, 3) uint8 RGB or (H, W) uint8 as PNG, without loss.

    Raises:
        ValueError: It is no picture.
    """
    pixels = image[..., ::-1] if image.ndim == 3 else image  # OpenCV takes BGR
    try:
        return cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes()
    except cv2.error as error:
        raise ValueError(f"the map cannot be compressed: {error}") from None


def decode_jpeg(data: bytes, height: int, width: int) -> Image:
    """Decode a JPEG that must be of the given size to (H, W, 3) uint8 RGB.

    Raises:
        ValueError: It is not, or is damaged.
    """
    if _jpeg_size(data) != (height, width):
        raise ValueError(f"is no JPEG of {width}x{height}")
    bgr = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.ascontiguousarray(bgr[:, :, ::-1])


def decode_gray(data: bytes) -> Image:
    """Decode an 8-bit gray PNG to (H, W) uint8.

    Raises:
        ValueError: It is none, too large, or damaged.
    """
    height, width = _png_size(data)
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and height * width <= MAX_PIXELS):
        raise ValueError("is no 8-bit gray PNG, or too large")
    return _decode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)


def _decode(data: bytes, flags: int) -> Image:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        picture = None
    if picture is None:
        raise ValueError("cannot be decoded")
    return picture.astype(np.uint8, copy=False)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Read (height, width) from the frame header; None where the segments before it are unsound.

    A JPEG begins with FF D8; then follow segments, each FF, its kind, and a length of two bytes
    that counts itself but not those two. In

        FF D8 | FF E0 00 10 ... | FF C0 00 11 08 01 E0 02 80 ...

    the segment E0 at byte 2 is passed over to byte 2 + 2 + 0x10 = 20. There stands C0, a frame
    header: height 0x01E0 = 480 from byte 20 + 5, width 0x0280 = 640 from byte 20 + 7.
    """
    start = 2
    while data[:2] == b"\xff\xd8" and start + 9 <= len(data) and data[start] == 0xFF:
        kind = data[start + 1]
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in NO_FRAME_HEADER:
            height = int.from_bytes(data[start + 5 : start + 7], "big")
            width = int.from_bytes(data[start + 7 : start + 9], "big")
            return height, width
        if length < 2 or kind < 0xC0 or 0xD0 <= kind <= 0xDA:
            return None
        start += 2 + length
    return None


def _png_size(data: bytes) -> tuple[int, int]:
    """Read (height, width) of an 8-bit gray PNG; zeros for anything else."""
    if data[:16] != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" or data[24:26] != b"\x08\0":
        return 0, 0
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
