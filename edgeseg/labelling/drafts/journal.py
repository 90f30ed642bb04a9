"""A file that only grows, a line per event, each safe from a power cut when `append` returns.

    8f3a01c2 {"kind": "edit", "revision": 4, ...}

The number before each line is the CRC-32 of the JSON behind it. What a kill or a power cut left at
the end, half a line or zeros, fails its check and is cut off when the file is opened again. A line
that fails before a good one was damaged by something else: that is told, and the file is left as it
is.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgeseg.atomic_files import fsync_dir
from edgeseg.disk.faults import named
from edgeseg.errors import DataError
from edgeseg.json_text import to_json

Event = dict[str, Any]  # Any: what JSON can hold
MOST_JOURNAL = 1 << 30  # bytes; no person draws so much on one frame


class Journal:
    """A file of events: `events` are those that it held when it was opened."""

    def __init__(self, path: Path) -> None:
        """Read a journal; it need not exist.

        Raises:
            DataError: A line in the middle is damaged, or the file is absurdly large.
            OSError: The disk fails.
        """
        self.path = path
        self.events: list[Event] = []
        self._size = 0
        if path.is_file():
            if path.stat().st_size > MOST_JOURNAL:
                raise DataError(f"{path} is larger than {MOST_JOURNAL} bytes; move it away")
            self._read(path.read_bytes())

    def append(self, events: Iterable[Event]) -> None:
        """Add events in one write, all or none of them.

        Raises:
            OSError: The disk does not take them; the file is as before.
        """
        data = b"".join(_line(event) for event in events)
        is_new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with named(self.path):
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                os.ftruncate(handle, self._size)  # what a torn write left
                _write_all(handle, data, self._size)
            except OSError:
                os.ftruncate(handle, self._size)
                raise
            finally:
                os.close(handle)
        if is_new:
            fsync_dir(self.path.parent)
        self._size += len(data)

    def _read(self, data: bytes) -> None:
        lines = data.split(b"\n")
        good = [_event(line) for line in lines[:-1]]
        count = next((place for place, event in enumerate(good) if event is None), len(good))
        if any(event is not None for event in good[count:]):
            raise DataError(
                f"{self.path} is damaged at line {count + 1}; move it away, and the frame begins "
                "again from its label or its prediction"
            )
        self.events = [event for event in good[:count] if event is not None]
        self._size = sum(len(line) + 1 for line in lines[:count])


def _write_all(handle: int, data: bytes, place: int) -> None:
    """Write at a place of a file, and wait for the disk."""
    while data:
        written = os.pwrite(handle, data, place)
        data, place = data[written:], place + written
    os.fsync(handle)


def _line(event: Event) -> bytes:
    text = to_json(event).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def _event(line: bytes) -> Event | None:
    """Return the event of a line, None if the line is damaged."""
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
