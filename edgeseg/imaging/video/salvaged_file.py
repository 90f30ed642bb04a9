"""A file for FFmpeg to read from, of which sectors that the disk has lost come as zeros.

FFmpeg gets bytes and never a name: a name with a colon would be taken for a protocol, one that is
no UTF-8 cannot be given to it, and a file that names other files cannot make it open them.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

SECTOR = 4096  # the least that a disk loses
LARGEST_GAP = 1 << 20  # bytes passed over after one failed read, inside a long bad stretch
MOST_FAILURES = 64  # reads that fail in a row before the rest is given up


class SalvagedFile:
    """A file opened for reading, as PyAV wants a file object.

    A read that the disk refuses (EIO) gives zeros up to the end of the sector. Each further failure
    in a row doubles what is passed over, so that a long bad stretch takes some dozens of attempts,
    each of which may cost a disk seconds.

    Attributes:
        name: What FFmpeg is told: not the file's name, only its suffix, which helps to tell
            formats without a header of their own.
        lost_bytes: Number of bytes that came as zeros.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: It cannot be opened.
        """
        suffix = path.suffix.lower()
        self.name = f"video{suffix if suffix.isascii() and suffix.isprintable() else ''}"
        self.lost_bytes = 0
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._size = os.fstat(self._file).st_size
        self._gap = range(0)  # the bytes that are passed over without asking the disk
        self._failures = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises:
            OSError: Nothing can be read any more.
        """
        position = self.tell()
        if position not in self._gap:
            try:
                data = os.read(self._file, size)
            except OSError as error:
                if error.errno != errno.EIO or self._failures >= MOST_FAILURES:
                    raise
                self._gap = self._next_gap(position)
                self._failures += 1
            else:
                self._failures = 0
                return data
        length = min(size, self._gap.stop - position)
        self.lost_bytes += length
        self.seek(position + length)
        return bytes(length)

    def _next_gap(self, position: int) -> range:
        """Return the bytes to pass over after a failed read.

        The first failure at byte 5000 passes over 5000 to 8191, the end of its sector; another one
        at 8192 over two sectors, to 16383; the next at 16384 over four.
        """
        length = min(SECTOR << self._failures, LARGEST_GAP)
        return range(position, min(self._size, position // SECTOR * SECTOR + length))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it; a negative number says that there is no such one.

        FFmpeg follows wrong pointers of damaged files to nowhere and can go on from there, which it
        could not if this raised.
        """
        try:
            return os.lseek(self._file, offset, whence)
        except (OSError, OverflowError):
            return -errno.EINVAL

    def tell(self) -> int:
        """Return the position."""
        return os.lseek(self._file, 0, os.SEEK_CUR)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
