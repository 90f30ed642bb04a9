"""Pictures decoded by Pillow: sizes first, then upright pixels of 8 bits or of more.

Every reader of pictures goes through `decode_picture`, so that a file gives the same pixels at the
site and on a device, bit for bit; docs/decisions/0014-one-decoder.md tells why it is Pillow.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.declared_size import jpeg_size, webp_size
from edgeseg.imaging.decoding.depth_range import DeepPixels, DepthRange
from edgeseg.imaging.decoding.pillow import DECODE_ERRORS, FORMATS, PillowImage
from edgeseg.imaging.decoding.pixel_limits import MAX_FILE_BYTES, MAX_PIXELS, is_bearable

EXIF_ORIENTATION = 0x0112
UPRIGHT = 1
# Tags of a TIFF.
TILE_WIDTH, TILE_LENGTH, BITS_PER_SAMPLE, SAMPLE_FORMAT, PHOTOMETRIC = 322, 323, 258, 339, 262
WHITE_IS_ZERO, SIGNED = 0, 2
FLOATING = DepthRange(0.0, 1.0, floating=True)  # the container of floats, which has no full range
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


class UnreadablePictureError(ValueError):
    """A picture that is not decoded; the message is a reason that follows the name of the file."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright.

    Attributes:
        values: (H, W, 3) uint8 RGB; or, of a deep picture, (H, W) gray or (H, W, 3) RGB of more
            than 8 bits.
        container: The full range of a deep picture's values; None for 8 bits.
        orientation: Its EXIF orientation, 1 to 8, which `values` has no more.
        plain: The file is an upright RGB JPEG, so its bytes can be kept as they are.
        more: Whether the file holds further pages or frames; this is the first.
    """

    values: DeepPixels
    container: DepthRange | None
    orientation: int
    plain: bool
    more: bool

    def rgb(self, depth: DepthRange | None = None) -> Image:
        """Return the picture as (H, W, 3) uint8 RGB.

        Args:
            depth: The range of deep pictures; the full one of the file if left out.

        Raises:
            UnreadablePictureError: It holds floats and the range is for counts, or the other way
                round, or there is none.
        """
        if self.container is None:
            return self.values
        if depth is None and self.container.floating:
            raise UnreadablePictureError(
                "holds floating-point pixels, for which no range is known; "
                "save it with 8 or 16 bits"
            )
        if depth is not None and depth.floating != self.container.floating:
            kinds = ("floating-point pixels", "integers")
            has, wants = kinds if self.container.floating else reversed(kinds)
            raise UnreadablePictureError(
                f"holds {has}, but the range of deep pictures, {depth}, is for {wants}; "
                "save it as the others are"
            )
        levels = (depth or self.container).to_8bit(self.values)
        return levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)


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
        raise _refusal(error, formats) from None
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
        raise _refusal(error, ()) from None
    if image.size != declared:
        raise UnreadablePictureError("is damaged (it decodes to another size than it declares)")
    if data.startswith(PNG_START) and PNG_END not in data[-4096:]:
        raise UnreadablePictureError("is damaged (truncated)")


def decode_picture(data: bytes, formats: Collection[str] = FORMATS) -> Picture:
    """Decode the content of a picture file of any usual mode.

    Raises:
        UnreadablePictureError: See `open_picture` and `load_picture`; or its mode has no RGB.
    """
    image = open_picture(data, formats)
    more = image.format != "MPO" and bool(getattr(image, "is_animated", False))
    declared_orientation = _orientation(image)
    load_picture(image, data)
    try:
        orientation = _orientation(image)  # Pillow turns a TIFF itself
        container = _container(image, data)
        if container is None:
            values = np.array(image if image.mode == "RGB" else image.convert("RGB"))
        elif image.mode in ("I", "F") or image.mode.startswith("I;"):
            values = _deep_gray(image)
        else:
            values = _deep_color(np.array(image.convert("RGB")), data, formats)
    except DECODE_ERRORS as error:
        raise _refusal(error, ()) from None
    return Picture(
        values=_upright(values, orientation),
        container=container,
        orientation=declared_orientation,
        plain=image.format in ("JPEG", "MPO")
        and image.mode == "RGB"
        and declared_orientation == UPRIGHT,
        more=more,
    )


def _check_size(width: object, height: object) -> None:
    if not isinstance(width, int) or not isinstance(height, int):
        raise UnreadablePictureError("is damaged (its size is no number)")
    if not is_bearable(width, height):
        raise UnreadablePictureError(
            f"declares {width}x{height} pixels, more than {MAX_PIXELS}"
            if width > 0 and height > 0
            else "has no pixels"
        )


def _refusal(error: Exception, formats: Collection[str]) -> UnreadablePictureError:
    """Return the reason that Pillow's error stands for."""
    if isinstance(error, UnreadablePictureError):
        return error
    if isinstance(error, PillowImage.DecompressionBombError):
        return UnreadablePictureError(f"declares more than {MAX_PIXELS} pixels")
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "cannot identify" in reason:
        return UnreadablePictureError(f"is damaged or no {', '.join(formats)} image")
    return UnreadablePictureError(f"is damaged ({reason})")


def _orientation(image: PillowImage.Image) -> int:
    """Return the EXIF orientation, upright where there is none that can be read."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION, UPRIGHT)
    except DECODE_ERRORS:
        return UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def _upright(values: DeepPixels, orientation: int) -> DeepPixels:
    """Undo an EXIF orientation: 5 to 8 swap rows and columns, the others only mirror."""
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def _container(image: PillowImage.Image, data: bytes) -> DepthRange | None:
    """Return the full range of a loaded image's values, None if they have 8 bits or fewer."""
    if image.mode == "F":
        return FLOATING
    is_gray = image.mode.startswith("I")
    if image.format == "TIFF":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]  # Any: of several types
        bits = max(_numbers(tags.get(BITS_PER_SAMPLE, 8)))
        signed = max(_numbers(tags.get(SAMPLE_FORMAT, 1))) == SIGNED
        is_color = image.mode in ("RGB", "RGBA", "RGBX")
        return DepthRange.full(bits, signed=signed) if bits > 8 and (is_gray or is_color) else None
    is_deep_png = image.format == "PNG" and data[24] == 16
    return DepthRange.full(16) if is_gray or is_deep_png else None


def _numbers(value: int | Sequence[int]) -> Sequence[int]:
    return value if isinstance(value, tuple) else (int(value),)  # type: ignore[call-overload]


def _deep_gray(image: PillowImage.Image) -> DeepPixels:
    """Return the values of a gray image of more than 8 bits, (H, W)."""
    values: DeepPixels = np.array(image)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if image.format != "TIFF":
        is_16_bit = image.mode != "F" and values.dtype != np.uint16
        return values.clip(0, 65535).astype(np.uint16) if is_16_bit else values
    tags: Any = image.tag_v2  # type: ignore[attr-defined]  # Any: of several types
    bits = max(_numbers(tags.get(BITS_PER_SAMPLE, 8)))
    signed = max(_numbers(tags.get(SAMPLE_FORMAT, 1))) == SIGNED
    if values.dtype == np.int32 and not signed:
        values = values.view(np.uint32)  # Pillow keeps all 32 bits, as a signed number
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and image.mode != "F" and not signed:
        values = values.dtype.type((1 << bits) - 1) - values
    return values


def _deep_color(high: Image, data: bytes, formats: Collection[str]) -> DeepPixels:
    """Return all 16 bits of a color picture, of which Pillow gives the high bytes.

    It is decoded again with the other order of bytes, so that Pillow gives the low ones.

    Args:
        high: (H, W, 3), the high bytes.

    Returns:
        (H, W, 3) uint16.

    Raises:
        UnreadablePictureError: This Pillow lays the bytes out in another way.
    """
    image = open_picture(data, formats)
    swapped = []
    for tile in image.tile:  # type: ignore[attr-defined]
        rawmode = tile.args if isinstance(tile.args, str) else tile.args[0]
        if rawmode == "LA;16B":  # 4 bytes a pixel, which are read as if they were RGBA
            other = "RGBA"
        elif rawmode[-4:] in (";16B", ";16L", ";16N"):
            other = rawmode[:-1] + ("L" if rawmode[-1] == "B" else "B")
        else:
            raise UnreadablePictureError(
                f"has 16-bit colors in an order ({rawmode}) that cannot be read; save it as PNG"
            )
        args = other if isinstance(tile.args, str) else (other, *tile.args[1:])
        swapped.append((rawmode, tile._replace(args=args)))
    image.tile = [tile for _, tile in swapped]  # type: ignore[attr-defined]
    load_picture(image, data)
    if swapped[0][0] == "LA;16B":
        pairs = np.array(image)
        gray = pairs[..., 0].astype(np.uint16) << 8 | pairs[..., 1]
        return np.repeat(gray[..., None], 3, axis=2)
    low = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return high.astype(np.uint16) << 8 | low
