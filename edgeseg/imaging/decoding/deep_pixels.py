"""Pixels of more than 8 bits, which Pillow keeps for gray pictures only.

All of them come as unsigned or signed integers or floats, with the range that their file can hold.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.depth_range import DeepPixels, DepthRange
from edgeseg.imaging.decoding.picture_file import (
    PNG_START,
    UnreadablePictureError,
    load_picture,
    open_picture,
)
from edgeseg.imaging.decoding.pillow import DECODE_ERRORS, PillowImage

BITS_PER_SAMPLE, SAMPLE_FORMAT, PHOTOMETRIC = 258, 339, 262  # tags of a TIFF
WHITE_IS_ZERO, SIGNED = 0, 2
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two of BigTIFF
FLOATING = DepthRange(0.0, 1.0, floating=True)  # the container of floats, which has no full range


def is_deep_file(path: Path) -> bool:
    """Return whether a file declares more than 8 bits, by its first bytes where these tell.

    A file that cannot be read is not deep.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(32)
            if start.startswith(PNG_START):
                return start[24:25] == b"\x10"
            if start[:4] not in TIFF_STARTS and start[:1] != b"P":
                return False
            with PillowImage.open(path, formats=["TIFF", "PPM"]) as image:
                return container_of(image, start) is not None
    except DECODE_ERRORS:
        return False


def container_of(image: PillowImage.Image, data: bytes) -> DepthRange | None:
    """Return the full range of an image's values, None if they have 8 bits or fewer.

    Args:
        image: Not loaded yet.
        data: The beginning of the file.
    """
    if image.mode == "F":
        return FLOATING
    is_gray = image.mode.startswith("I")
    if image.format == "TIFF":
        bits, signed = _tiff_samples(image)
        is_color = image.mode in ("RGB", "RGBA", "RGBX")
        return DepthRange.full(bits, signed=signed) if bits > 8 and (is_gray or is_color) else None
    is_deep_png = image.format == "PNG" and data[24] == 16
    is_deep_ppm = image.format == "PPM" and image.mode == "RGB" and _netpbm_highest(image) > 255
    return DepthRange.full(16) if is_gray or is_deep_png or is_deep_ppm else None


def _netpbm_highest(image: PillowImage.Image) -> int:
    """Return the highest value that an image which is not loaded yet declares; 0 if it is text."""
    tile: Any = image.tile[0]  # type: ignore[attr-defined]
    return int(tile.args[-1]) if tile.codec_name == "ppm" else 0


def _tiff_samples(image: PillowImage.Image) -> tuple[int, bool]:
    """Return the bits of a TIFF's samples, and whether they are signed integers.

    The first sample tells, which Pillow found to go with the mode; a file may list any number of
    further ones that do not exist.
    """
    tags: Any = image.tag_v2  # type: ignore[attr-defined]  # Any: of several types
    bits, kind = (
        value if isinstance(value, int) else value[0]
        for value in (tags.get(BITS_PER_SAMPLE, 8), tags.get(SAMPLE_FORMAT, 1))
    )
    return bits, kind == SIGNED


def deep_gray(image: PillowImage.Image) -> DeepPixels:
    """Return the values of a gray image of more than 8 bits, (H, W)."""
    values: DeepPixels = np.array(image)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if image.format != "TIFF":
        is_16_bit = image.mode != "F" and values.dtype != np.uint16
        return values.clip(0, 65535).astype(np.uint16) if is_16_bit else values
    tags: Any = image.tag_v2  # type: ignore[attr-defined]  # Any: of several types
    bits, signed = _tiff_samples(image)
    if values.dtype == np.int32 and not signed:
        values = values.view(np.uint32)  # Pillow keeps all 32 bits, as a signed number
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and image.mode != "F" and not signed:
        values = values.dtype.type((1 << bits) - 1) - values
    return values


def deep_color(high: Image, data: bytes, formats: Collection[str]) -> DeepPixels:
    """Return all 16 bits of a color picture, of which Pillow gives the high bytes.

    It is decoded again with the other order of bytes, so that Pillow gives the low ones.

    Args:
        high: (H, W, 3), the high bytes.

    Returns:
        (H, W, 3) uint16.

    Raises:
        UnreadablePictureError: This Pillow lays the bytes out in another way, or the colors are
            multiplied by their transparency.
    """
    image = open_picture(data, formats)
    swapped = []
    for tile in image.tile:  # type: ignore[attr-defined]
        rawmode = tile.args if isinstance(tile.args, str) else tile.args[0]
        if rawmode == "LA;16B":  # 4 bytes a pixel, which are read as if they were RGBA
            other = "RGBA"
        elif rawmode[-4:] in (";16B", ";16L", ";16N") and not rawmode.startswith("RGBa"):
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
    low: Image = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return np.asarray(high.astype(np.uint16) << 8 | low, np.uint16)


def netpbm_values(image: PillowImage.Image, data: bytes) -> DeepPixels | None:
    """Return the pixels of a binary PGM or PPM whose highest value is no full number of bits.

    Pillow would take seconds for them, and keep 8 bits of colors. The highest value that the file
    declares becomes 255, or 65535 where it is more than that.

    Args:
        image: The image, not loaded yet.
        data: The content of the file.

    Returns:
        (H, W) or (H, W, 3), uint8 or uint16; None for other files.

    Raises:
        UnreadablePictureError: The file is truncated.
    """
    if image.format != "PPM":
        return None
    tile: Any = image.tile[0]  # type: ignore[attr-defined]
    if tile.codec_name != "ppm":
        return None
    highest = tile.args[-1]
    width = 2 if highest > 255 else 1
    shape = (image.height, image.width, 3)[: 3 if image.mode == "RGB" else 2]
    count = int(np.prod(shape))
    if len(data) - tile.offset < count * width:
        raise UnreadablePictureError("is damaged (truncated)")
    raw = np.frombuffer(data, f">u{width}", count, tile.offset)
    scaled_to = 256**width - 1
    table = np.rint(np.arange(256**width) / highest * scaled_to).clip(max=scaled_to)
    return np.take(table.astype(f"u{width}"), raw).reshape(shape)
