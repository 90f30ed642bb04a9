"""How large a picture may be, wherever one comes in: files, frame logs, masks, golden frames.

A few bytes can declare a picture of gigabytes, so its size is held against these numbers before
memory is taken for it.
"""

from __future__ import annotations

MAX_SIDE = 65_500  # what a JPEG can hold
MAX_PIXELS = 100_000_000  # 300 MB of RGB
MAX_FILE_BYTES = 1_000_000_000
# Of the pictures in a record of the frame log; a part of that format.
MAX_RECORD_SIDE = 16_384
MAX_RECORD_PIXELS = 50_000_000
