"""The digest of a file, by which later starts see that it has not changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

CHUNK = 1 << 20  # bytes read at a time: weights need not fit into memory


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's content in hex.

    Raises:
        OSError: The file cannot be read.
    """
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
    return sha256.hexdigest()
