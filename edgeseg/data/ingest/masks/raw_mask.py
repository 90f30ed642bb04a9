"""The content of a mask file, before it is known what its ids and colors mean.

Masks are PNG files, since JPEG changes class ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from edgeseg.data.ingest.image_files import open_image, read_file
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.decoding.picture import EXIF_ORIENTATION, UPRIGHT
from edgeseg.imaging.decoding.pillow import PillowImage

NO_ENTRY = -1  # in a palette: the file gives this index no color
PNG_START = b"\x89PNG\r\n\x1a\n"
# The beginnings of files that are given for masks, and what they are.
OTHER_FORMATS = (
    (b"\xff\xd8\xff", "is a JPEG, whose compression changes class ids"),
    (b"II*\0", "is a TIFF"),
    (b"MM\0*", "is a TIFF"),
    (b"II+\0", "is a TIFF"),
    (b"MM\0+", "is a TIFF"),
    (b"BM", "is a BMP"),
    (b"GIF8", "is a GIF"),
    (b"RIFF", "is a WebP"),
    (b"\x93NUMPY", "is a NumPy file"),
    (b"\0\0\0\x0cjP  ", "is a JPEG 2000"),
    (b"{", "is a JSON file, which holds no pixels"),
    (b"%PDF", "is a PDF"),
)


@dataclass(frozen=True, kw_only=True)
class RawMask:
    """The content of a mask file: indices or gray values, or else colors.

    Attributes:
        ids: (H, W) uint8 indices or gray values; None for a color file.
        colors: (H, W) uint32 colors 0xRRGGBB; None for a file of ids.
        palette: (256,) int64 color of each index, `NO_ENTRY` where there is none; None for a file
            without palette.
        transparent: (256,) bool, the indices that are not wholly opaque; None without palette.
        turned: The file has an EXIF orientation, by which it was turned as viewers do.
    """

    ids: Mask | None = None
    colors: NDArray[np.uint32] | None = None
    palette: NDArray[np.int64] | None = None
    transparent: NDArray[np.bool_] | None = None
    turned: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        pixels = self.ids if self.ids is not None else self.colors
        assert pixels is not None
        return pixels.shape[0], pixels.shape[1]


def open_raw_mask(path: Path) -> RawMask:
    """Decode a mask file.

    Raises:
        DataError: "file: reason"; unreadable, no PNG, or of an unusable mode.
    """
    data = read_file(path)
    refuse_other_formats(data, path)
    image = open_image(data, path, ("PNG",))
    turned = image.getexif().get(EXIF_ORIENTATION, UPRIGHT) != UPRIGHT
    if turned:
        image = ImageOps.exif_transpose(image)
    if image.mode == "P":
        palette, transparent = _palette_of(image)
        ids = np.array(image, np.uint8)
        return RawMask(ids=ids, palette=palette, transparent=transparent, turned=turned)
    if image.mode in ("1", "L"):
        return RawMask(ids=_undo_spreading(np.array(image, np.uint8), data), turned=turned)
    if image.mode in ("RGB", "RGBA", "LA"):
        pixels = np.array(image)
        if image.mode != "RGB" and pixels[..., -1].min() < 255:
            raise DataError(
                f"{path}: is transparent in places, so its classes are unclear; "
                "fill these with the color of their class and save it without an alpha channel"
            )
        if image.mode == "LA":
            return RawMask(ids=np.ascontiguousarray(pixels[..., 0]), turned=turned)
        return RawMask(colors=_color_numbers(pixels), turned=turned)
    deep = " (16 bits a pixel)" if image.mode.startswith("I") else ""
    raise DataError(
        f"{path}: has mode {image.mode}{deep}; save masks as palette, 8-bit gray or RGB PNG"
    )


def refuse_other_formats(data: bytes, path: Path) -> None:
    """Refuse what is known to be no PNG.

    Raises:
        DataError: "file: reason".
    """
    if data.startswith(PNG_START):
        return
    for start, what in OTHER_FORMATS:
        if data.startswith(start):
            raise DataError(
                f"{path}: {what}; save masks as PNG, from the labelling tool or with Pillow: "
                'Image.open("mask.tif").save("mask.png")'
                if "TIFF" in what or "BMP" in what
                else f"{path}: {what}; save masks as PNG"
            )


def _color_numbers(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return (H, W) colors of (H, W, 3 or more): (255, 128, 0) is 0xff8000 = 16744448."""
    channels = pixels.astype(np.uint32)
    numbers = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    return np.asarray(numbers, np.uint32)


def _palette_of(image: PillowImage.Image) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the color of each index, and which indices are transparent, (256,) each."""
    entries = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    palette = np.full(256, NO_ENTRY, np.int64)
    palette[: len(entries)] = _color_numbers(entries)
    transparent = np.zeros(256, bool)
    alpha: Any = image.info.get("transparency")  # Any: an index, or one byte for each of the first
    if isinstance(alpha, bytes):
        transparent[: len(alpha)] = np.frombuffer(alpha, np.uint8) < 255
    elif isinstance(alpha, int):
        transparent[alpha] = True
    return palette, transparent


def _undo_spreading(mask: Mask, data: bytes) -> Mask:
    """Return the values of a gray PNG of 1, 2 or 4 bits, which Pillow spreads over 0 to 255.

    The bit depth is byte 24 of the file. With 2 bits the values 0, 1, 2, 3 come as 0, 85, 170, 255
    and are divided by 255 // 3 = 85. Files of 1 bit come as 0 and 1.
    """
    depth = data[24]
    if depth >= 8 or mask.max() <= 1:
        return mask
    return mask // (255 // ((1 << depth) - 1))
