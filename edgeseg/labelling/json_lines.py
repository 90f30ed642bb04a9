"""Files of JSON lines that grow by whole lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgeseg.atomic_files import fsync_dir
from edgeseg.disk.faults import named
from edgeseg.json_text import to_json


def append_line(path: Path, entry: dict[str, Any]) -> None:  # Any: what JSON can hold
    """Add a line, safe from a power cut when this returns.

    Raises:
        OSError: The disk does not take it.
    """
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with named(path), open(path, "a+b") as file:
        size = file.seek(0, os.SEEK_END)
        # a line that a kill cut off must not swallow this one
        is_torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        file.write(b"\n" * is_torn + to_json(entry).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        fsync_dir(path.parent)
