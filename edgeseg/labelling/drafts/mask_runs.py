"""Masks as runs of equal ids: the lossless form in which they travel and are kept.

A run is one little-endian number of 32 bits: its length in the upper 24, its class id in the lower
8. The row 7 7 7 255 is the two numbers 3 * 256 + 7 and 1 * 256 + 255. A typed array of JavaScript
reads and writes them as they are.
"""

from __future__ import annotations

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask

MOST_RUN = (1 << 24) - 1  # pixels of one run; longer ones are parted
BYTES_PER_RUN = 4


def encode_runs(mask: Mask) -> bytes:
    """Return an (H, W) mask as runs, row by row."""
    ids = np.ascontiguousarray(mask).ravel()
    starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
    lengths = np.diff(np.append(starts, ids.size))
    values = ids[starts].astype(np.uint32)
    if lengths.max() > MOST_RUN:
        pieces = -(-lengths // MOST_RUN)
        last = np.cumsum(pieces) - 1
        rest = lengths - (pieces - 1) * MOST_RUN
        values, lengths = np.repeat(values, pieces), np.full(pieces.sum(), MOST_RUN)
        lengths[last] = rest
    return (lengths.astype(np.uint32) << 8 | values).astype("<u4").tobytes()


def decode_runs(data: bytes, height: int, width: int) -> Mask:
    """Return runs as an (H, W) mask of its own memory.

    Raises:
        DataError: They do not fill exactly this size.
    """
    if len(data) % BYTES_PER_RUN or not data or len(data) > BYTES_PER_RUN * height * width:
        raise DataError(f"these are no runs of a {width}x{height} mask; load the page again")
    runs: NDArray[np.uint32] = np.frombuffer(data, "<u4").astype(np.uint32)
    lengths = (runs >> 8).astype(np.int64)
    if lengths.min() < 1 or lengths.sum() != height * width:
        raise DataError(
            f"the runs hold {int(lengths.sum())} pixels, and {width}x{height} were wanted; "
            "load the page again"
        )
    return np.repeat((runs & 255).astype(np.uint8), lengths).reshape(height, width)


def encode_text(mask: Mask) -> str:
    """Return an (H, W) mask as runs in base64."""
    return base64.b64encode(encode_runs(mask)).decode()


def decode_text(text: str, height: int, width: int) -> Mask:
    """Return runs in base64 as an (H, W) mask.

    Raises:
        DataError: They are none, or do not fill exactly this size.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise DataError("the runs of a mask are damaged; load the page again") from None
    return decode_runs(data, height, width)
