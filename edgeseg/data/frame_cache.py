"""The cache of frames at training size: sparse memory-mapped files in `cache/`, shared by all runs.

`<digest>.u8` holds one record per frame of a split: the image (H, W, 3), then the mask (H, W) where
the split has any. Behind the records follows a uint32 checksum of each, 0 where nothing is stored
yet. At 192x256 with masks, a record takes 192 * 256 * 4 = 196,608 bytes; of 10 frames, the last
record begins at byte 1,769,472 and its checksum at byte 1,966,080 + 36.

Nothing is ever synced: a record that a kill or a power cut left half-written does not match its
checksum, and the frame is read again from its own files. The digest covers name, size and time of
all those files, so a changed frame makes another cache. The folder may be deleted at any time, also
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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.opencv import cv2
from edgeseg.site import Frame, Site

CACHE_FOLDER = "cache"
FORMAT = 1  # raised when records change, or how frames are resized
DISK_RESERVE = 2_000_000_000  # bytes of the disk left for everything else


class FrameCache:
    """The decoded frames of one split; made by `open_cache`.

    Many threads and processes may use it at a time.
    """

    def __init__(self, handle: int, number: int, size: tuple[int, int], *, masks: bool) -> None:
        """Map the file open at `handle`, which is closed together with the cache.

        Args:
            number: Frames of the split.
            size: Their height and width.
            masks: Whether records hold masks.
        """
        self._handle = handle
        self._size, self._has_masks = size, masks
        mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
        self._checksums = np.frombuffer(mapped, np.uint32, number, len(mapped) - 4 * number)
        records = np.frombuffer(mapped, np.uint8, len(mapped) - 4 * number)
        self._records = records.reshape(number, -1)
        self._no_mask = np.full(size, IGNORE, np.uint8)  # the mask of every unlabelled frame
        weakref.finalize(self, os.close, handle)

    def get(self, index: int) -> tuple[Image, Mask] | None:
        """Return image (H, W, 3) and mask (H, W), not to be written to.

        None where nothing is stored, or a record that does not match its checksum.
        """
        checksum, record = self._checksums[index], self._records[index]
        if checksum == 0 or checksum != _checksum(record):
            return None
        image_bytes = 3 * self._no_mask.size
        mask = record[image_bytes:].reshape(self._size) if self._has_masks else self._no_mask
        return record[:image_bytes].reshape(*self._size, 3), mask

    def put(self, index: int, image: Image, mask: Mask) -> None:
        """Store a frame.

        Raises:
            OSError: The disk does not take it.
        """
        record = np.concatenate([image.ravel(), mask.ravel()]) if self._has_masks else image.ravel()
        # Written, not stored through the map: a full disk is then an error, where a map would end
        # the process.
        self._write(record.data, index * len(record))
        self._write(np.uint32(_checksum(record)).tobytes(), self._records.size + 4 * index)

    def _write(self, data: memoryview | bytes, position: int) -> None:
        if os.pwrite(self._handle, data, position) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def open_cache(
    site: Site, frames: Sequence[Frame], size: tuple[int, int], mask_sources: Sequence[Frame] = ()
) -> FrameCache:
    """Open the cache of `frames` at `size`, old or new.

    Idle caches make room for it, the longest unused first.

    Args:
        mask_sources: The frames that the masks of `frames` are made from, where these have none of
            their own.

    Raises:
        DataError: It is larger than `data.cache_bytes` leaves or the disk has room for, or cannot
            be written.
    """
    folder = site.root / CACHE_FOLDER
    masks = any(frame.mask is not None for frame in (*frames, *mask_sources))
    length = len(frames) * (size[0] * size[1] * (4 if masks else 3) + 4)
    path = folder / f"{_files_digest(site, frames, size, mask_sources)}.u8"
    handle = -1
    try:
        folder.mkdir(exist_ok=True)
        with _locked(folder):
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
    """Return the bytes of disk that the caches of a site take."""
    return sum(cache.disk_bytes for cache in _caches(site.root / CACHE_FOLDER).values())


@dataclass(frozen=True)
class _CacheFile:
    """A cache on the disk.

    Attributes:
        full_size: Bytes when every frame is stored.
        disk_bytes: Bytes of disk taken so far; the file is sparse.
        last_use: Seconds since 1970.
    """

    full_size: int
    disk_bytes: int
    last_use: float


def _caches(folder: Path) -> dict[Path, _CacheFile]:
    caches = {}
    for path in folder.glob("*.u8"):
        with suppress(FileNotFoundError):
            status = path.stat()
            caches[path] = _CacheFile(status.st_size, status.st_blocks * 512, status.st_mtime)
    return caches


def _checksum(record: Image) -> int:
    """Return the CRC-32 of a record; never 0, which stands for "nothing stored"."""
    return zlib.crc32(record.data) or 1


def _files_digest(
    site: Site, frames: Sequence[Frame], size: tuple[int, int], mask_sources: Sequence[Frame]
) -> str:
    fit = site.config.data.fit
    shape = f"{size}" if fit == "stretch" else f"{size} {fit}"
    digest = hashlib.sha256(
        f"{FORMAT} {cv2.__version__} {shape} {len(site.config.classes)}\n".encode()
    )
    for frame in frames:
        digest.update(f"{frame.id} {_stamps(site, frame)}\n".encode())
    for frame in mask_sources:
        digest.update(f"mask source {frame.id} {_stamps(site, frame)}\n".encode())
    return digest.hexdigest()[:32]


def _stamps(site: Site, frame: Frame) -> list[tuple[str, int, int]]:
    return [_stamp(site.root, name) for name in (frame.image, frame.mask) if name is not None]


def _stamp(root: Path, name: str) -> tuple[str, int, int]:
    """Return name, size and time of change of a file."""
    try:
        status = (root / name).stat()
    except OSError:
        return name, -1, -1  # the reader of the frame says so
    return name, status.st_size, status.st_mtime_ns


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time open and delete caches."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        (folder / ".gitignore").write_text("*\n")
        yield
    finally:
        os.close(handle)


def _make_room(folder: Path, path: Path, length: int, limit: int) -> None:
    """Delete idle caches until the one at `path` may grow to `length`; none if that is not enough.

    Two things must hold: the full sizes of all caches stay within `limit`, and the disk has room
    for all that they have yet to write. With a limit of 10 GB, a new cache of 4 GB, and others of
    5 GB (idle, last used yesterday) and 3 GB (in use), 10 - 4 - 8 = -2 GB are left: the idle one is
    deleted, and 10 - 4 - 3 = 3 GB are.

    Raises:
        DataError: There is no room; nothing was deleted.
    """
    others = _caches(folder)
    own = others.pop(path, None)
    still_to_write = length - own.disk_bytes if own else length
    idle = sorted((other for other in others if _is_idle(other)), key=lambda p: -others[p].last_use)
    disk_free = shutil.disk_usage(folder).free - DISK_RESERVE
    to_delete: list[Path] = []
    while True:
        room = limit - length - sum(cache.full_size for cache in others.values())
        growth = max(0, still_to_write) + sum(
            max(0, cache.full_size - cache.disk_bytes) for cache in others.values()
        )
        if (room >= 0 and growth <= disk_free) or not idle:
            break
        to_delete.append(idle.pop())  # the longest unused one
        disk_free += others.pop(to_delete[-1]).disk_bytes
    if room < 0:
        what = "they take" if length > limit else "beside the caches in use they take"
        raise DataError(
            f"{what} {length / 1e9:.2f} GB but data.cache_bytes is {limit / 1e9:.2f} GB; raise it"
        )
    if growth > disk_free:
        raise DataError(
            f"they need {growth / 1e9:.2f} GB of a disk with {max(0, disk_free) / 1e9:.2f} "
            "to spare; make room"
        )
    for idle_path in to_delete:
        idle_path.unlink()


def _is_idle(path: Path) -> bool:
    """Return whether no run uses the cache; none can start to while the folder is locked."""
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
