"""Images as people hand them in: refused by declared size before they are decoded, turned upright,
made RGB.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, DependencyError
from edgeseg.imaging.opencv import cv2

try:
    from PIL import Image, ImageOps
except ImportError:
    raise DependencyError(
        "Pillow, which reads images and masks, is missing; run `pip install 'edgeseg[train]'`"
    ) from None

Rgb = NDArray[np.uint8]
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
FORMATS = (
    "JPEG",
    "PNG",
    "BMP",
    "WEBP",
    "TIFF",
    "PPM",
)  # Pillow knows more, some of which start other programs
MAX_PIXELS = 100_000_000
MAX_BYTES = 1_000_000_000
JPEG_QUALITY = 95
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
    Image.DecompressionBombError,
)  # what Pillow was seen to raise on damaged files


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image.

    Attributes:
        rgb: (H, W, 3) uint8.
        plain: the file is an upright RGB JPEG, so its bytes can be kept as they are.
    """

    rgb: Rgb
    plain: bool


def is_image(path: Path) -> bool:
    """Whether the file's name is that of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def natural(path: Path) -> list[tuple[int, str]]:
    """A sort key that puts frame_2 before frame_10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", str(path))
        if part
    ]


def content_digest(data: bytes) -> str:
    """What identifies content in a frame id: 20 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:20]


def read_bytes(path: Path) -> bytes:
    """The content of an image file.

    Raises:
        DataError: no regular file, empty, unreadable or absurdly large.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: is no file")
        size = path.stat().st_size
        if not 0 < size <= MAX_BYTES:
            raise DataError(
                f"{path}: is empty" if not size else f"{path}: is larger than {MAX_BYTES} bytes"
            )
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def open_image(data: bytes, path: Path, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Decode with Pillow, once the declared size was found bearable.

    Raises:
        DataError: no image of these formats, damaged, truncated, or larger than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning and remarks about metadata
            image = Image.open(io.BytesIO(data), formats=formats)
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{path}: declares {image.width}x{image.height} pixels, more than {MAX_PIXELS}"
                )
            image.load()
    except Image.DecompressionBombError:
        raise DataError(f"{path}: declares more than {MAX_PIXELS} pixels") from None
    except DECODE_ERRORS as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        what = f"no {', '.join(formats)} image" if "cannot identify" in what else what
        raise DataError(
            f"{path}: is damaged or {what}"
            if what.startswith("no ")
            else f"{path}: is damaged ({what})"
        ) from None
    return image


def decode_image(data: bytes, path: Path) -> DecodedImage:
    """Decode the content of an image file of any usual mode.

    Args:
        path: names it in messages.

    Raises:
        DataError: see `open_image`; or a floating-point image.
    """
    image = open_image(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = (
                image.format == "JPEG"
                and image.mode == "RGB"
                and image.getexif().get(0x0112, 1) == 1
            )
            if image.mode.startswith("I"):  # 16 bits; Pillow would clip them to white
                image = Image.fromarray(
                    (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
                )
            elif image.mode == "F":
                raise DataError(f"{path}: holds floating-point pixels; save it with 8 bits")
            image = ImageOps.exif_transpose(image)
            rgb = np.array(image.convert("RGB"))
    except DECODE_ERRORS as error:
        raise DataError(f"{path}: is damaged ({type(error).__name__})") from None
    return DecodedImage(rgb, plain)


def shrink_to_max_side(rgb: Rgb, max_side: int) -> Rgb:
    """The image with its longest side at `max_side`, or as it is when that is smaller."""
    height, width = rgb.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def encode_image(rgb: Rgb, suffix: str) -> bytes:
    """`rgb` as JPEG (".jpg", quality 95) or PNG (".png")."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == ".jpg" else []
    done, data = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise DataError(
            f"OpenCV cannot write {suffix} images; install opencv-python-headless again"
        )
    return data.tobytes()
