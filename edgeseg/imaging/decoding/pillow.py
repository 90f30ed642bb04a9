"""Pillow, or a sentence on how to install it; and the formats that it may read for us."""

from __future__ import annotations

import struct
import warnings
import zlib

from edgeseg.errors import DependencyError
from edgeseg.installation import install_command

try:
    # Named here, so that Pillow does not load all its plugins to find these.
    from PIL import (  # noqa: F401
        BmpImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        UnidentifiedImageError,
        WebPImagePlugin,
    )
    from PIL import Image as PillowImage
except ImportError:
    raise DependencyError(
        "Pillow, which reads pictures and masks, is not installed; "
        f"run `{install_command('device')}`, or `pip install pillow`"
    ) from None

__all__ = ["DECODE_ERRORS", "FORMATS", "PillowImage", "UnidentifiedImageError"]

# Pillow knows more formats, some of which start other programs.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")
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
    AssertionError,
    NotImplementedError,
    struct.error,
    zlib.error,
    PillowImage.DecompressionBombError,
)

# Pillow's own warning about sizes, and its remarks about metadata. The filter is set once, for all
# threads; `warnings.catch_warnings` around each picture would be undone by other threads.
warnings.filterwarnings("ignore", module=r"PIL\.")
