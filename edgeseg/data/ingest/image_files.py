"""Image files as people hand them in: read whole, told apart by their content, kept or encoded.

They are decoded by `edgeseg.imaging.decoding`, as everywhere.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.decoding.picture import Picture, decode_picture
from edgeseg.imaging.decoding.picture_file import (
    UnreadablePictureError,
    load_picture,
    open_picture,
    read_picture_file,
)
from edgeseg.imaging.decoding.pillow import FORMATS, PillowImage
from edgeseg.imaging.image_codec import encode_jpeg, encode_png
from edgeseg.imaging.resize import resize_image

JPEG_QUALITY = 95


def content_digest(data: bytes) -> str:
    """Return the part of a frame id that identifies its content: 20 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:20]


def read_file(path: Path) -> bytes:
    """Read the content of an image file.

    Raises:
        DataError: It is no regular file, empty, unreadable or absurdly large.
    """
    try:
        return read_picture_file(path)
    except UnreadablePictureError as error:
        raise DataError(f"{path}: {error}") from None


def open_image(data: bytes, path: Path, formats: tuple[str, ...] = FORMATS) -> PillowImage.Image:
    """Decode the content of a file with Pillow, once the declared size was found bearable.

    Args:
        path: Names it in messages.

    Raises:
        DataError: It is no image of these formats, damaged, truncated, or too large.
    """
    try:
        image = open_picture(data, formats)
        load_picture(image, data)
    except UnreadablePictureError as error:
        raise DataError(f"{path}: {error}") from None
    return image


def decode_image(data: bytes, path: Path) -> Picture:
    """Decode the content of an image file of any usual mode.

    Args:
        path: Names it in messages.

    Raises:
        DataError: It is no image, damaged, truncated, or too large.
    """
    try:
        return decode_picture(data)
    except UnreadablePictureError as error:
        raise DataError(f"{path}: {error}") from None


def to_rgb(picture: Picture, path: Path, depth: DepthRange | None = None) -> Image:
    """Return a picture as (H, W, 3) uint8 RGB.

    Args:
        path: Names it in messages.
        depth: The site's range of deep pictures; the full one of the file if left out.

    Raises:
        DataError: It holds floats, and the range is for integers or unknown; or the other way
            round.
    """
    try:
        return picture.rgb(depth)
    except UnreadablePictureError as error:
        raise DataError(f"{path}: {error}") from None


def shrink_to_max_side(rgb: Image, max_side: int) -> Image:
    """Return the image with its longest side at `max_side`, or as it is when that is smaller."""
    height, width = rgb.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return rgb
    return resize_image(rgb, (max(1, round(height * scale)), max(1, round(width * scale))))


def encode_image(rgb: Image, suffix: str) -> bytes:
    """Encode (H, W, 3) RGB as JPEG (".jpg", quality 95) or PNG (".png")."""
    return encode_jpeg(rgb, JPEG_QUALITY) if suffix == ".jpg" else encode_png(rgb)
