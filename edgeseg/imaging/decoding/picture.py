"""Pictures decoded by Pillow: upright pixels of 8 bits or of more.

Every reader of pictures goes through `decode_picture`, so that a file gives the same pixels at the
site and on a device, bit for bit; docs/decisions/0014-one-decoder.md tells why it is Pillow.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.deep_pixels import container_of, deep_color, deep_gray, netpbm_values
from edgeseg.imaging.decoding.depth_range import DeepPixels, DepthRange
from edgeseg.imaging.decoding.picture_file import (
    UnreadablePictureError,
    load_picture,
    open_picture,
    refusal,
)
from edgeseg.imaging.decoding.pillow import DECODE_ERRORS, FORMATS, PillowImage

EXIF_ORIENTATION = 0x0112
UPRIGHT = 1


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


def decode_picture(data: bytes, formats: Collection[str] = FORMATS) -> Picture:
    """Decode the content of a picture file of any usual mode.

    Raises:
        UnreadablePictureError: See `open_picture` and `load_picture`; or its mode has no RGB.
    """
    image = open_picture(data, formats)
    more = image.format != "MPO" and bool(getattr(image, "is_animated", False))
    declared = _orientation(image)
    container = container_of(image, data)
    values = netpbm_values(image, data)
    if values is None:
        load_picture(image, data)
    try:
        if values is not None:
            if container is None:
                values = values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
        elif container is None:
            values = np.array(image if image.mode == "RGB" else image.convert("RGB"))
        elif image.mode in ("I", "F") or image.mode.startswith("I;"):
            values = deep_gray(image)
        else:
            values = deep_color(np.array(image.convert("RGB")), data, formats)
        orientation = _orientation(image)  # Pillow turns a TIFF itself
    except DECODE_ERRORS as error:
        raise refusal(error) from None
    return Picture(
        values=_upright(values, orientation),
        container=container,
        orientation=declared,
        plain=image.format in ("JPEG", "MPO") and image.mode == "RGB" and declared == UPRIGHT,
        more=more,
    )


def declared_orientation(data: bytes) -> int:
    """Return the EXIF orientation of a file, 1 to 8; 1, upright, where it declares none.

    Raises:
        UnreadablePictureError: See `open_picture`.
    """
    return _orientation(open_picture(data))


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
