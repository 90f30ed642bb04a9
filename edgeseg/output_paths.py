"""Outputs that must not replace, or be taken for, what is read: one check for every command.

Paths are compared as the disk knows them, by device and number: links, hard links, another mount
and file systems that take A for a are seen through. Everything is checked before anything is
written.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgeseg.atomic_files import MAX_NAME_BYTES, shorten_name
from edgeseg.bundle import FLAVOURS, MANIFEST
from edgeseg.bundle.flavours import FP32
from edgeseg.config import CONFIG_NAME
from edgeseg.errors import EdgesegError
from edgeseg.imaging.file_names import is_image
from edgeseg.site import SITE_FOLDERS

# Files of a site; of its runs those of `infer` are free to write to.
SITE_FILES = frozenset({CONFIG_NAME, "frames.jsonl"})
FREE_RUNS = "runs/infer"
Identity = tuple[int, int]  # device and number of a file or folder


@dataclass(frozen=True)
class Output:
    """A place to write to.

    Attributes:
        path: The file or folder.
        option: How the user named it, such as "--save".
        is_folder: Whether files are written into it under names of their own.
    """

    path: Path
    option: str
    is_folder: bool


def check_outputs(
    outputs: Sequence[Output], reads: Sequence[Path] = (), *, in_site: Sequence[str] = ()
) -> None:
    """Refuse outputs that would replace what is read, or that the next run would read.

    Args:
        outputs: All places that the command writes to, apart from the site's own.
        reads: The files and folders that it reads. Files may be written beside a video that is
            read, but not beside pictures, nor anywhere below a folder that is read.
        in_site: Folders of a site that may be written to all the same, such as "bundles" or
            "runs/students".

    Raises:
        EdgesegError: One is refused; it names the option and the reason.
    """
    identities = {path: identity for path in reads if (identity := _identity(path)) is not None}
    folders = {identity: path for path, identity in identities.items() if path.is_dir()}
    files = {identity: path for path, identity in identities.items() if identity not in folders}
    pictures = {
        folder: path
        for path in files.values()
        if is_image(path)
        for folder in (path.parent, Path(os.path.realpath(path)).parent)  # a link's, and its file's
    }
    beside = {
        identity: path
        for folder, path in pictures.items()
        if (identity := _identity(folder)) is not None
    }
    for output in outputs:
        _refuse_own_files(output, in_site)
        if output.is_folder and output.path.is_file() and _identity(output.path) not in files:
            raise _refusal(output, "is a file, and files are to be written into it")
        identity = _identity(output.path)
        if identity in files:
            raise _refusal(output, f"is {files[identity]}, which is read and would be replaced")
        if output.is_folder and identity in beside:
            raise _refusal(output, f"holds {beside[identity].name}, which is read")
        for place in _ancestors(output.path):
            if place in folders:
                raise _refusal(
                    output, f"lies in {folders[place]}, which is read, now or by the next run"
                )


def check_disjoint(outputs: Sequence[Output], alone: Output) -> None:
    """Refuse outputs in the folder `alone`, which takes no other files.

    Raises:
        EdgesegError: One lies in it, or it in one.
    """
    for output in outputs:
        if _lies_in(output.path, alone.path) or (
            output.is_folder and _lies_in(alone.path, output.path)
        ):
            raise EdgesegError(
                f"{output.option} {output.path} and {alone.option} {alone.path} lie in each other; "
                "give each a place of its own"
            )


@contextmanager
def hold_output(output: Output) -> Iterator[None]:
    """Keep other processes from writing to the same place for the length of a `with` block.

    A hidden lock file beside the file, or in the folder, is removed at the end; the kernel frees it
    however the process ends. Where a file system knows no locks there is none.

    Raises:
        EdgesegError: Another process writes there, or nobody can.
    """
    path = Path(os.path.realpath(output.path))
    name = shorten_name(path.name, MAX_NAME_BYTES - len("..lock"))
    lock = path / ".output.lock" if output.is_folder else path.with_name(f".{name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked(lock)
    except OSError as error:
        raise EdgesegError(
            f"{output.option} {output.path} cannot be written ({error.strerror}); make room or "
            "choose another place"
        ) from None
    if handle is None:
        raise EdgesegError(
            f"{output.option} {output.path} is being written by another edgeseg process; "
            "wait for it, stop it, or choose another place"
        )
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        os.close(handle)


def _locked(lock: Path) -> int | None:
    """Return a handle of the lock file with the lock on it, None if another process has it.

    Who had the lock before may have removed the file between our opening and our locking it, so
    the name is looked up again.
    """
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            return handle  # no locks here
        status = os.fstat(handle)
        if _identity(lock) == (status.st_dev, status.st_ino):
            return handle
        os.close(handle)


def _refuse_own_files(output: Output, in_site: Sequence[str]) -> None:
    """Refuse places that belong to a site or to a bundle, whichever it is.

    Raises:
        EdgesegError: It is one.
    """
    real = Path(os.path.realpath(output.path))
    for folder in (real, *real.parents):
        if (folder / MANIFEST).is_file() and (folder / FLAVOURS[FP32].file).is_file():
            if "bundles" in in_site and folder == real:
                continue  # a bundle that is exported anew
            raise _refusal(output, f"lies in the bundle {folder}")
        if not (folder / CONFIG_NAME).is_file():
            continue
        inside = real.relative_to(folder).parts
        is_own = bool(inside) and (inside[0] in SITE_FOLDERS or inside[0] in SITE_FILES)
        if is_own and not {inside[0], "/".join(inside[:2])} & {*in_site, FREE_RUNS}:
            raise _refusal(output, f"belongs to the site {folder}, which keeps its own files there")


def _refusal(output: Output, reason: str) -> EdgesegError:
    return EdgesegError(f"{output.option} {output.path} {reason}; choose another {output.option}")


def _identity(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _ancestors(path: Path) -> list[Identity]:
    """Return the identities of a path and of all folders above it that exist."""
    real = Path(os.path.realpath(path))
    found = (_identity(place) for place in (real, *real.parents))
    return [identity for identity in found if identity is not None]


def _lies_in(path: Path, folder: Path) -> bool:
    real, above = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    return real.is_relative_to(above) or _identity(above) in _ancestors(real)
