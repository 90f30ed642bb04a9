"""Frames at training size, decoded once: sparse memory-mapped files in the site's `cache/`, shared
by all runs.

`<digest>.u8` holds one record per frame of a split: the image (H, W, 3), then the mask (H, W) where
the split has any. Behind the records follows a uint32 checksum of each, 0 where nothing is stored
yet. Nothing is ever synced: what a kill or a power cut leaves half-written does not match its
checksum and is read again from the frame's own files. The digest covers name, size and time of all
those files, so a changed frame makes another cache. The folder may be deleted at any time, also
while runs use it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import shutil
import weakref
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Image
from edgeseg.site import Frame, Site

FOLDER = "cache"
FORMAT = 1  # raised when records change, or how frames are resized
MARGIN = 2_000_000_000  # bytes of the disk left for everything else


class FrameCache:
    """The decoded frames of one split; made by `open_cache`, good for many threads and processes at
    a time.
    """

    def __init__(self, handle: int, number: int, size: tuple[int, int], *, masks: bool) -> None:
        """Map the file open at `handle`, which is closed together with the cache."""
        self._handle = handle
        self._size, self._masks = size, masks
        mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
        self._checksums = np.frombuffer(mapped, np.uint32, number, len(mapped) - 4 * number)
        self._records = np.frombuffer(mapped, np.uint8, len(mapped) - 4 * number).reshape(
            number, -1
        )
        self._nothing = np.full(size, IGNORE, np.uint8)  # the mask of every unlabelled frame
        weakref.finalize(self, os.close, handle)

    def get(self, index: int) -> tuple[Image, Image] | None:
        """Image (H, W, 3) and mask (H, W), not to be written to; None where nothing sound is
        stored.
        """
        checksum, record = self._checksums[index], self._records[index]
        if checksum == 0 or checksum != _checksum(record):
            return None
        split = self._nothing.size * 3
        mask = record[split:].reshape(self._size) if self._masks else self._nothing
        return record[:split].reshape(*self._size, 3), mask

    def put(self, index: int, image: Image, mask: Image) -> None:
        """Store a frame.

        Raises:
            OSError: the disk does not take it.
        """
        record = np.concatenate([image.ravel(), mask.ravel()]) if self._masks else image.ravel()
        # Written, not stored through the map: a full disk is then an error, where a map would end
        # the process.
        checksum = np.uint32(_checksum(record)).tobytes()
        for data, place in (
            (record.data, index * len(record)),
            (checksum, self._records.size + 4 * index),
        ):
            if os.pwrite(self._handle, data, place) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def open_cache(site: Site, frames: Sequence[Frame], size: tuple[int, int]) -> FrameCache:
    """The cache of `frames` at `size`, old or new; idle ones make room for it, the longest unused
    first.

    Raises:
        DataError: it is larger than `data.cache_bytes` leaves or the disk has room for, or cannot
            be written.
    """
    folder = site.root / FOLDER
    masks = any(frame.mask is not None for frame in frames)
    length = len(frames) * (size[0] * size[1] * (4 if masks else 3) + 4)
    path = folder / f"{_digest(site, frames, size)}.u8"
    handle = -1
    try:
        folder.mkdir(exist_ok=True)
        with _alone(folder):
            _make_room(folder, path, length, site.config.data.cache_bytes)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(handle, fcntl.LOCK_SH)  # until closed; what is locked is not deleted
            os.ftruncate(handle, length)
            os.utime(handle)
        return FrameCache(handle, len(frames), size, masks=masks)
    except (OSError, ValueError) as error:  # ValueError: more than this machine can map
        if handle >= 0:
            os.close(handle)
        raise DataError(
            f"{folder} cannot be used ({error}); make it writable or set data.cache_bytes to 0"
        ) from None


def cache_bytes_used(site: Site) -> int:
    """Bytes of disk that the caches take."""
    return sum(taken for _, taken, _ in _caches(site.root / FOLDER).values())


def _caches(folder: Path) -> dict[Path, tuple[int, int, float]]:
    """Full size, bytes of disk taken so far, and time of last use of every cache."""
    found = {}
    for path in folder.glob("*.u8"):
        with suppress(FileNotFoundError):
            about = path.stat()
            found[path] = about.st_size, about.st_blocks * 512, about.st_mtime
    return found


def _checksum(record: Image) -> int:
    return zlib.crc32(record.data) or 1


def _digest(site: Site, frames: Sequence[Frame], size: tuple[int, int]) -> str:
    digest = hashlib.sha256(
        f"{FORMAT} {cv2.__version__} {size} {len(site.config.classes)}\n".encode()
    )
    for frame in frames:
        stamps = [_stamp(site.root, name) for name in (frame.image, frame.mask) if name is not None]
        digest.update(f"{frame.id} {stamps}\n".encode())
    return digest.hexdigest()[:32]


def _stamp(root: Path, name: str) -> tuple[str, int, int]:
    try:
        found = (root / name).stat()
    except OSError:
        return name, -1, -1  # whoever reads the frame says so
    return name, found.st_size, found.st_mtime_ns


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Open and delete caches one process at a time."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        (folder / ".gitignore").write_text("*\n")
        yield
    finally:
        os.close(handle)


def _make_room(folder: Path, path: Path, length: int, bound: int) -> None:
    """Delete idle caches, the longest unused first, until the one at `path` may grow to `length`;
    none if in vain.
    """
    others = _caches(folder)
    have = others.pop(path, (0, 0, 0.0))[1]
    idle = sorted((each for each in others if _idle(each)), key=lambda each: -others[each][2])
    free, victims = shutil.disk_usage(folder).free - MARGIN, []
    while True:
        room = bound - length - sum(size for size, _, _ in others.values())
        growth = max(0, length - have) + sum(
            max(0, size - taken) for size, taken, _ in others.values()
        )
        if (room >= 0 and growth <= free) or not idle:
            break
        victims.append(idle.pop())
        free += others.pop(victims[-1])[1]
    if room < 0:
        what = "they take" if length > bound else "beside the caches in use they take"
        raise DataError(
            f"{what} {length / 1e9:.2f} GB but data.cache_bytes is {bound / 1e9:.2f} GB; raise it"
        )
    if growth > free:
        raise DataError(
            f"they need {growth / 1e9:.2f} GB of a disk with {max(0, free) / 1e9:.2f} to spare; make room"
        )
    for victim in victims:
        victim.unlink()


def _idle(path: Path) -> bool:
    """Whether nobody uses the cache; nobody can start to within `_alone`."""
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
