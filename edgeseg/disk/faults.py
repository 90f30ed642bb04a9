"""Faults of disks and of rights, in words: what failed, where, and what a person can do about it.

They may come out of any call that touches a file. Those that edgeseg's own writers raise name the
file (`named`); the system itself leaves it out where a write fails after the file was opened.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What is to be done, by the number of the fault; those that are not listed are not the disk's.
CURES = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room within the quota of its disk",
    errno.EFBIG: "raise the limit of a file's size, or use another file system",
    errno.EROFS: "mount its file system for writing",
    errno.EACCES: "give yourself the right to it",
    errno.EPERM: "give yourself the right to it, or use another file system",
    errno.EIO: "check its disk",
    errno.ENXIO: "check that its device is there",
    errno.ENODEV: "check that its device is there",
    errno.ENOTCONN: "mount its file system again",
    errno.ESTALE: "mount its file system again",
    errno.ETIMEDOUT: "check the connection to its file system",
    errno.EHOSTDOWN: "check the connection to its file system",
    errno.EBUSY: "end what uses it",
    errno.ETXTBSY: "end what uses it",
    errno.ENOLCK: "use a file system that knows locks",
    errno.EOPNOTSUPP: "use a file system that can do this",
    errno.ENAMETOOLONG: "use a shorter name or a place higher up",
    errno.ELOOP: "mend the links on its way",
    errno.ENOENT: "put it back",
    errno.ENOTDIR: "make way for a folder there",
    errno.EISDIR: "make way for a file there",
    errno.EEXIST: "make way for it",
    errno.ENOTEMPTY: "make way for it",
    errno.EXDEV: "keep the folder on one file system",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "end programs that hold files open",
}
# These come from writing alone; any other fault may also come from reading.
WRITE_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def is_disk_fault(error: OSError) -> bool:
    """Return whether a fault is one of the disk or of rights, which a person can mend."""
    return error.errno in CURES


def describe_disk_fault(error: OSError, place: Path) -> str:
    """Return what happened and what to do, as the beginning of a sentence.

    "/site/frames.jsonl cannot be written (No space left on device); make room on its disk"

    Args:
        error: One for which `is_disk_fault` holds.
        place: The folder in which it happened, for an error that names none.
    """
    verb = "written" if error.errno in WRITE_FAULTS else "used"
    where = fault_path(error) or f"a file in {place}"
    return f"{where} cannot be {verb} ({error.strerror}); {CURES[error.errno or 0]}"


def fault_path(error: OSError) -> str:
    """Return the path of a fault; empty where it names none.

    Of two, as a rename has them, it is the target: the other is a temporary name.
    """
    for name in (error.filename2, error.filename):
        if isinstance(name, (str, bytes, os.PathLike)) and name:
            return os.fsdecode(name)
    return ""


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Give every fault inside the `with` block the path that it is about for people.

    Its own may be a temporary name, or missing.
    """
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
