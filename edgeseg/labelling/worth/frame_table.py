"""A row of numbers for each of many frames, kept on the disk as it is made.

Chunks of 32 rows are written whole, so a killed start loses at most one chunk, and the next one
goes on. A damaged chunk is made again. A frame's id holds a digest of its content: a row never
grows stale by itself, and a table of a model carries the model's digest in its name.
"""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.atomic_files import remove_leftovers, write_atomic
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.labelling.frame_images import read_frame_image
from edgeseg.progress import ProgressReporter
from edgeseg.site import Frame, Site

CHUNK = 32  # rows of a file
MOST_CHUNK_BYTES = 64_000_000  # of a file that is read
MOST_TABLES = 4  # kept; those of older models go
MAKER = "made-by.txt"  # who made the rows, in a person's words
MOST_MAKER = 300  # characters of it
Row = NDArray[np.float32]


class FrameTable:
    """The rows of one table of a site; `cache/worth/<name>/` may be deleted at any time."""

    def __init__(self, site: Site, name: str, maker: str = "") -> None:
        """Read the rows that are there.

        Args:
            name: Of the table: what makes the rows, with its version.
            maker: The model that makes them, in a person's words.
        """
        self._maker = maker
        self._site = site
        self._folder = site.root / "cache" / "worth" / name
        self._rows: dict[str, Row] = {}
        for path in sorted(self._folder.glob("*.npz")):
            self._rows |= _read_chunk(path)

    def fill(
        self,
        frames: Sequence[Frame],
        make_row: Callable[[Image], Row],
        report: ProgressReporter,
        title: str,
    ) -> list[Frame]:
        """Make the rows that are missing, and keep them.

        Args:
            frames: The frames to look at.
            make_row: Makes a row, (D,), of an image, (H, W, 3) uint8 RGB.
            report: Advances by one for each frame.
            title: What is being done.

        Returns:
            The frames that have a row: all whose image can be read.
        """
        missing = [frame for frame in frames if frame.id not in self._rows]
        if missing:
            remove_leftovers(self._folder)
            _touch_table(self._folder)
            report.start(title, len(missing))
        if self._maker and self._folder.is_dir():
            write_atomic(self._folder / MAKER, self._maker.encode(), sync=False)
        fresh: dict[str, Row] = {}
        unreadable = 0
        try:
            for frame in missing:
                report.advance()
                try:
                    fresh[frame.id] = make_row(read_frame_image(self._site, frame))
                except DataError:
                    unreadable += 1
                if len(fresh) == CHUNK:
                    self._keep(fresh)
                    fresh = {}
        finally:  # also what an interruption cuts short
            self._keep(fresh)
            report.stop()
        if unreadable:
            report.say(f"{unreadable} frames cannot be read and are left out; see `edgeseg status`")
        return [frame for frame in frames if frame.id in self._rows]

    def rows(self, frames: Sequence[Frame]) -> Row:
        """Return the rows of frames that have one, (N, D)."""
        return np.stack([self._rows[frame.id] for frame in frames])

    def _keep(self, rows: dict[str, Row]) -> None:
        if not rows:
            return
        self._rows |= rows
        buffer = io.BytesIO()
        np.savez(buffer, ids=np.array(list(rows)), rows=np.stack(list(rows.values())))
        # named by its first frame: a chunk that is made again replaces itself
        write_atomic(self._folder / f"{next(iter(rows))}.npz", buffer.getvalue(), sync=False)


def newest_described_rows(site: Site, width: int) -> tuple[str, dict[str, Row]]:
    """Return the maker and the rows by frame id of the table that a model filled last.

    Args:
        width: The numbers of each row that are wanted, the first ones.

    Returns:
        An empty text and no rows where no model has looked at a frame.
    """
    makers = sorted(
        (site.root / "cache" / "worth").glob(f"*/{MAKER}"), key=lambda path: path.stat().st_mtime
    )
    for path in reversed(makers):
        rows: dict[str, Row] = {}
        for chunk in sorted(path.parent.glob("*.npz")):
            rows |= {
                name: row[:width] for name, row in _read_chunk(chunk).items() if len(row) >= width
            }
        if rows:
            return path.read_text("utf-8", "replace")[:MOST_MAKER], rows
    return "", {}


def _read_chunk(path: Path) -> dict[str, Row]:
    """Return the rows of a file by frame id; none if it is damaged."""
    try:
        if path.stat().st_size > MOST_CHUNK_BYTES:
            return {}
        with np.load(path, allow_pickle=False) as arrays:
            ids, rows = arrays["ids"], arrays["rows"].astype(np.float32)
        return {str(name): row for name, row in zip(ids, rows, strict=True)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def _touch_table(folder: Path) -> None:
    """Make the folder of a table, and remove the tables that were used longest ago."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.touch()
    tables = sorted(folder.parent.iterdir(), key=lambda table: table.stat().st_mtime)
    for table in tables[:-MOST_TABLES]:
        shutil.rmtree(table, ignore_errors=True)
