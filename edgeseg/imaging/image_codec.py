"""JPEG and PNG in memory and from files: written by OpenCV, decoded by Pillow.

Sizes are bounded before anything is decoded, see `edgeseg.imaging.decoding`. A decoder that
succeeds has not checked that the bytes are intact: callers of `decode_jpeg` and `decode_gray`
compare digests first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.decoding.picture_file import load_picture, open_picture
from edgeseg.imaging.decoding.picture_reader import PictureReader
from edgeseg.imaging.decoding.pillow import PillowImage
from edgeseg.imaging.decoding.pixel_limits import MAX_RECORD_PIXELS, MAX_RECORD_SIDE
from edgeseg.imaging.opencv import cv2


def read_image(path: Path | str, depth: DepthRange | None = None) -> Image | None:
    """Decode a picture to (H, W, 3) uint8 RGB; None if it is missing, truncated or no picture.

    Args:
        path: The file.
        depth: The range of values that becomes 0 to 255 where a picture has more than 8 bits:
            `depth_range` of a bundle's manifest. Left out, it is the full range of the file, and
            None is returned for pictures that would be nearly black.
    """
    try:
        return PictureReader(depth).read(Path(path))
    except DataError:
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
    """Decode a JPEG that must be of the given size to (H, W, 3) uint8 RGB, as it is stored.

    Raises:
        ValueError: It is not, or is damaged.
    """
    image = _open_jpeg(data, height, width)
    load_picture(image, data)
    return np.array(image.convert("RGB"))


def check_jpeg(data: bytes, height: int, width: int) -> None:
    """See that a JPEG declares the given size, without decoding it.

    Raises:
        ValueError: It does not, or is none.
    """
    _open_jpeg(data, height, width)


def _open_jpeg(data: bytes, height: int, width: int) -> PillowImage.Image:
    image = open_picture(data, ("JPEG",))
    if (image.height, image.width) != (height, width):
        raise ValueError(f"is no JPEG of {width}x{height}")
    return image


def decode_gray(data: bytes) -> Image:
    """Decode an 8-bit gray PNG to (H, W) uint8.

    Raises:
        ValueError: It is none, too large, or damaged.
    """
    # The header comes first in every PNG; bytes 24 and 25 of the file are bit depth and color type.
    image = open_picture(data, ("PNG",)) if data[24:26] == b"\x08\0" else None
    if (
        image is None
        or image.mode != "L"
        or max(image.size) > MAX_RECORD_SIDE
        or image.height * image.width > MAX_RECORD_PIXELS
    ):
        raise ValueError("is no 8-bit gray PNG, or too large")
    load_picture(image, data)
    return np.array(image)
