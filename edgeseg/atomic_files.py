"""Files that survive kill -9 and power cuts: write beside the target, fsync, rename, fsync the
folder.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.json_text import to_json


def fsync_dir(folder: Path) -> None:
    """Make renames and new names inside `folder` durable."""
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
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        fsync_dir(path.parent)


def write_json(path: Path, value: Any) -> None:  # Any: whatever json can hold
    """Replace `path` by `value` as indented JSON, atomically."""
    write_atomic(path, (to_json(value, indent=2, sort_keys=False) + "\n").encode())


def replace_link(link: Path, target: str) -> None:
    """Point the symbolic link `link` at `target` in one rename: it never dangles or vanishes."""
    temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.symlink_to(target)
    os.replace(temporary, link)
    fsync_dir(link.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a killed writer left in `folder`."""
    for path in folder.glob(".*.tmp"):
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
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise error(
                f"{folder} is in use by another edgeseg process (pid {holder}); "
                "wait for it, stop it, or choose another folder"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
