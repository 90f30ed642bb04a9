"""Picture files opened by Pillow: refused by what they declare, before anything is decoded."""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

from edgeseg.imaging.decoding.declared_size import jpeg_size, webp_size
from edgeseg.imaging.decoding.file_kinds import why_unreadable
from edgeseg.imaging.decoding.pillow import (
    DECODE_ERRORS,
    FORMATS,
    PillowImage,
    UnidentifiedImageError,
)
from edgeseg.imaging.decoding.pixel_limits import MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE

TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of a TIFF
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


class UnreadablePictureError(ValueError):
    """A picture that is not decoded; the message is a reason that follows the name of the file."""


def read_picture_file(path: Path) -> bytes:
    """Read the content of a picture file.

    Raises:
        UnreadablePictureError: It is no regular file, empty, unreadable or absurdly large.
    """
    try:
        if not path.is_file():
            raise UnreadablePictureError("is no file")
        size = path.stat().st_size
        if not size:
            raise UnreadablePictureError("is empty")
        if size > MAX_FILE_BYTES:
            raise UnreadablePictureError(f"is larger than {MAX_FILE_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise UnreadablePictureError(f"cannot be read ({error.strerror})") from None


def open_picture(data: bytes, formats: Collection[str] = FORMATS) -> PillowImage.Image:
    """Open the content of a file with Pillow, and refuse it by its declared size; decode nothing.

    Raises:
        UnreadablePictureError: It is no picture of these formats, damaged, or larger than
            `MAX_PIXELS`.
    """
    if (size := webp_size(data)) is not None:
        _check_size(size[1], size[0])
    try:
        image = PillowImage.open(io.BytesIO(data), formats=[*formats])
        _check_size(image.width, image.height)
        if image.format == "TIFF":
            tags: Any = image.tag_v2  # type: ignore[attr-defined]  # Any: of several types
            _check_size(tags.get(TILE_WIDTH, 1), tags.get(TILE_LENGTH, 1))
    except DECODE_ERRORS as error:
        if isinstance(error, UnidentifiedImageError):
            raise UnreadablePictureError(why_unreadable(data, formats)) from None
        raise refusal(error) from None
    if image.format in ("JPEG", "MPO") and jpeg_size(data) != (image.height, image.width):
        raise UnreadablePictureError("is damaged (its headers do not agree about its size)")
    return image


def load_picture(image: PillowImage.Image, data: bytes) -> None:
    """Decode what `open_picture` returned.

    Args:
        data: The content of the file.

    Raises:
        UnreadablePictureError: It is damaged or truncated, or not of the size that it declared.
    """
    declared = image.size
    try:
        image.load()
    except DECODE_ERRORS as error:
        raise refusal(error) from None
    if image.size != declared:
        raise UnreadablePictureError("is damaged (it decodes to another size than it declares)")
    if data.startswith(PNG_START) and PNG_END not in data:
        raise UnreadablePictureError("is damaged (truncated)")


def _check_size(width: object, height: object) -> None:
    if not isinstance(width, int) or not isinstance(height, int):
        raise UnreadablePictureError("is damaged (its size is no number)")
    if min(width, height) < 1:
        raise UnreadablePictureError("has no pixels")
    if max(width, height) > MAX_SIDE:
        raise UnreadablePictureError(f"declares {width}x{height} pixels, a side of over {MAX_SIDE}")
    if width * height > MAX_PIXELS:
        raise UnreadablePictureError(f"declares {width}x{height} pixels, more than {MAX_PIXELS}")


def refusal(error: Exception) -> UnreadablePictureError:
    """Return the reason that Pillow's error stands for."""
    if isinstance(error, UnreadablePictureError):
        return error
    if isinstance(error, PillowImage.DecompressionBombError):
        return UnreadablePictureError(f"declares more than {MAX_PIXELS} pixels")
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UnreadablePictureError(f"is damaged ({reason})")
