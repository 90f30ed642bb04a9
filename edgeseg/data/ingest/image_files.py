"""Image files as people hand them in, decoded by Pillow.

They are refused by declared size before they are decoded, turned upright, and made RGB.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.errors import DataError, DependencyError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.image_codec import encode_jpeg, encode_png
from edgeseg.imaging.resize import resize_image

try:
    from PIL import Image as PillowImage
    from PIL import ImageOps
except ImportError:
    raise DependencyError(
        "Pillow, which reads images and masks, is missing; run `pip install 'edgeseg[train]'`"
    ) from None

# Pillow knows more formats, some of which start other programs.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 100_000_000
MAX_BYTES = 1_000_000_000
JPEG_QUALITY = 95
EXIF_ORIENTATION = 0x0112
UPRIGHT = 1
# The errors that Pillow was seen to raise on damaged files.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    MemoryError,
    AttributeError,
    struct.error,
    zlib.error,
    PillowImage.DecompressionBombError,
)


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image file.

    Attributes:
        rgb: (H, W, 3) uint8.
        plain: The file is an upright RGB JPEG, so its bytes can be kept as they are.
    """

    rgb: Image
    plain: bool


def content_digest(data: bytes) -> str:
    """Return the part of a frame id that identifies its content: 20 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:20]


def read_file(path: Path) -> bytes:
    """Read the content of an image file.

    Raises:
        DataError: It is no regular file, empty, unreadable or absurdly large.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: is no file")
        size = path.stat().st_size
        if not size:
            raise DataError(f"{path}: is empty")
        if size > MAX_BYTES:
            raise DataError(f"{path}: is larger than {MAX_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def open_image(data: bytes, path: Path, formats: tuple[str, ...] = FORMATS) -> PillowImage.Image:
    """Decode the content of a file with Pillow, once the declared size was found bearable.

    Args:
        path: Names it in messages.

    Raises:
        DataError: It is no image of these formats, damaged, truncated, or larger than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning and remarks about metadata
            image = PillowImage.open(io.BytesIO(data), formats=formats)
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{path}: declares {image.width}x{image.height} pixels, more than {MAX_PIXELS}"
                )
            image.load()
    except PillowImage.DecompressionBombError:
        raise DataError(f"{path}: declares more than {MAX_PIXELS} pixels") from None
    except DECODE_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "cannot identify" in reason:
            reason = f"no {', '.join(formats)} image"
        if reason.startswith("no "):
            raise DataError(f"{path}: is damaged or {reason}") from None
        raise DataError(f"{path}: is damaged ({reason})") from None
    return image


def decode_image(data: bytes, path: Path) -> DecodedImage:
    """Decode the content of an image file of any usual mode.

    Args:
        path: Names it in messages.

    Raises:
        DataError: See `open_image`; or a floating-point image.
    """
    image = open_image(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            is_rgb_jpeg = image.format == "JPEG" and image.mode == "RGB"
            plain = is_rgb_jpeg and image.getexif().get(EXIF_ORIENTATION, UPRIGHT) == UPRIGHT
            if image.mode.startswith("I"):  # 16 bits; Pillow would clip them to white
                high_bytes = np.asarray(image).astype(np.int64) >> 8
                image = PillowImage.fromarray(high_bytes.clip(0, 255).astype(np.uint8))
            elif image.mode == "F":
                raise DataError(f"{path}: holds floating-point pixels; save it with 8 bits")
            rgb = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except DECODE_ERRORS as error:
        raise DataError(f"{path}: is damaged ({type(error).__name__})") from None
    return DecodedImage(rgb, plain)


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
