"""A live source whose frames are named on from those of the run before.

A camera has no first frame: each start of a service counts from 0 again, and would replace what
the start before has saved.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

from edgeseg.runtime.sources.base import Source, SourceFrame


class ContinuedNames:
    """A source with other names for its frames."""

    def __init__(self, source: Source, first: int) -> None:
        """Take the source, which is closed with this one.

        Args:
            source: A live one, whose frames are named by their number.
            first: What is added to the number.
        """
        self._source, self._first = source, first
        self.name, self.live, self.reads = source.name, source.live, source.reads
        self.total, self.fps, self.statistics = source.total, source.fps, source.statistics

    def frames(self, stop: Event) -> Iterator[SourceFrame]:
        """Yield the frames until the source ends or `stop` is set."""
        for frame in self._source.frames(stop):
            yield dataclasses.replace(frame, name=f"{frame.number + self._first:08d}")

    def close(self) -> None:
        """Let go of the device."""
        self._source.close()


def next_free_number(folders: Sequence[Path]) -> int:
    """Return one above the highest number that names a file in one of the folders; else 0."""
    highest = -1
    for folder in folders:
        if folder.is_dir():
            stems = (entry.name.partition(".")[0] for entry in os.scandir(folder))
            highest = max([highest, *(int(stem) for stem in stems if stem.isdecimal())])
    return highest + 1
