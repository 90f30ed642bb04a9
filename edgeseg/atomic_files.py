"""Files that survive kill -9 and power cuts: write beside the target, fsync, rename, fsync the
folder.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edgeseg.disk.faults import named
from edgeseg.errors import EdgesegError
from edgeseg.json_text import to_json

MAX_NAME_BYTES = 255  # of one name, in Linux's and all other usual file systems
TEMPORARY_NAME = re.compile(r"\..*\.[0-9a-f]{8}\.tmp", re.DOTALL)
MARK_BYTES = 24  # that are added to a name, at most: ".", ".1f0a9c3d.old.tmp"


def fsync_dir(folder: Path) -> None:
    """Make renames and new names inside `folder` durable."""
    with named(folder):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_atomic(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Replace the content of `path` by `data` in one step.

    After the return the new content survives a power cut; before it, the old one does.

    Args:
        sync: Wait for the disk. Without it a killed process still leaves no torn file, but a power
            cut may; this is for results that come many times a second and can be made again.

    Raises:
        OSError: The disk failed; it names `path`.
    """
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(path)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # the first fault is the one to tell
                temporary.unlink(missing_ok=True)
            raise
    if sync:
        fsync_dir(path.parent)


def temporary_path(path: Path, suffix: str = ".tmp") -> Path:
    """Return a new hidden name beside `path`: `.NAME.1f0a9c3d.tmp`.

    A name so long that this would exceed what file systems take is cut.
    """
    return path.with_name(f"{_temporary_prefix(path)}{uuid.uuid4().hex[:8]}{suffix}")


def temporary_siblings(path: Path) -> list[Path]:
    """Return what killed writers of `path` left beside it, by the names of `temporary_path`."""
    return list(path.parent.glob(f"{glob.escape(_temporary_prefix(path))}*.tmp"))


def _temporary_prefix(path: Path) -> str:
    return f".{shorten_name(path.name, MAX_NAME_BYTES - MARK_BYTES)}."


def shorten_name(name: str, most: int = MAX_NAME_BYTES) -> str:
    """Return a file name cut to at most so many bytes; what was cut off is told by a digest.

    With room for 20 bytes "a-very-long-name-000001" becomes "a-very-long-b5d2a6e8": the first 11
    bytes, a dash, and 8 hexadecimal digits that follow from the whole name. Letters of several
    bytes are never cut in two.
    """
    data = os.fsencode(name)
    if len(data) <= most:
        return name
    digest = hashlib.sha256(data).hexdigest()[:8]
    kept = name
    while kept and len(os.fsencode(kept)) > most - len(digest) - 1:
        kept = kept[:-1]
    return f"{kept}-{digest}"


def write_json(path: Path, value: Any) -> None:  # Any: whatever json can hold
    """Replace `path` by `value` as indented JSON, atomically."""
    write_atomic(path, (to_json(value, indent=2, sort_keys=False) + "\n").encode())


def replace_link(link: Path, target: str) -> None:
    """Point the symbolic link `link` at `target` in one rename: it never dangles or vanishes."""
    temporary = temporary_path(link)
    with named(link):
        temporary.symlink_to(target)
        os.replace(temporary, link)
    fsync_dir(link.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a killed writer left in `folder`, and no others."""
    for path in folder.glob(".*.tmp"):
        is_folder = path.is_dir() and not path.is_symlink()
        if TEMPORARY_NAME.fullmatch(path.name) and not is_folder:
            path.unlink(missing_ok=True)


@contextmanager
def lock_folder(folder: Path, error: type[EdgesegError] = EdgesegError) -> Iterator[None]:
    """Hold `folder` for this process; the kernel frees it however the process ends.

    Args:
        folder: The folder to hold; made if missing.
        error: The class of the error to raise.

    Raises:
        EdgesegError: Another process holds the folder.
    """
    with named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            with named(folder):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _lock_holder(handle)
            raise error(
                f"{folder} is in use by another edgeseg process (pid {holder}); "
                "wait for it, stop it, or choose another folder"
            ) from None
        with named(folder):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock_holder(handle: int) -> str:
    """Return the process that holds a lock; it writes its number right after it got the lock."""
    for _ in range(20):
        if holder := os.pread(handle, 32, 0).decode(errors="replace").strip():
            return holder
        time.sleep(0.01)
    return "unknown"
