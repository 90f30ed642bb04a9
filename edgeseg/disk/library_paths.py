"""Paths for libraries that take UTF-8 alone, as those written in C++ and Rust mostly do.

A name on a Linux disk is any bytes: "caf\\xe9" from an old archive is no UTF-8. Python calls it by
surrogates, which libraries refuse, or crash on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_utf8(path: Path | str) -> bool:
    """Return whether the bytes of a path are UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def library_path(path: Path) -> Iterator[str]:
    """Give a path for a library to the `with` block: an absolute one where it is UTF-8.

    A relative one, such as "12:30:45.mp4", would pass for an address. Where the path is no UTF-8,
    what is there, a file or a folder, is opened and called by the number of its handle.

    Raises:
        OSError: There is nothing at a path that is no UTF-8.
    """
    path = path.absolute()
    if is_utf8(path):
        yield str(path)
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)
