"""The files of an export: a folder, one file, or an unpacked archive; read within limits.

Names inside an export are never joined to paths: what they stand for is looked up among the files
that were found.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from edgeseg.errors import DataError
from edgeseg.imaging.file_names import natural_sort_key

MOST_FILES = 1_000_000
MOST_TEXT_BYTES = 256 * 1024 * 1024  # of a JSON or XML file; lists take some 20 times as much
MOST_SMALL_TEXT_BYTES = 16 * 1024 * 1024  # of YAML, CSV and lists of names
HEAD_BYTES = 64 * 1024  # by which a file is recognised


class ExportFiles:
    """The files of one export.

    Attributes:
        root: The folder that holds them.
        origin: What the user named: the folder, the file, or the archive.
        files: Paths below `root` in natural order; the one file where one was named.
        is_one_file: The user named one file, so the others beside it are none of ours.
    """

    def __init__(self, root: Path, origin: Path, *, only: Path | None = None) -> None:
        """List the files.

        Args:
            only: The one file that counts.

        Raises:
            DataError: There are too many, or the folder cannot be read.
        """
        self.root, self.origin = root, origin
        self.is_one_file = only is not None
        self.files = (only,) if only else tuple(sorted(_walk(root), key=natural_sort_key))
        self._json: dict[Path, Any] = {}

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """Return the files with one of the suffixes, in lower case with their dot."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def named(self, name: str) -> Path | None:
        """Return the uppermost file of this name."""
        found = [path for path in self.files if path.name == name]
        return min(found, key=lambda path: len(path.parts), default=None)

    def relative(self, path: Path) -> PurePosixPath:
        """Return a file's path below the export."""
        return PurePosixPath(path.relative_to(self.root).as_posix())

    def shown(self, path: Path) -> str:
        """Return a file's path as the user knows it, also inside an archive."""
        if self.root == self.origin or self.is_one_file:
            return str(path)
        return str(self.origin / self.relative(path))

    def head(self, path: Path) -> bytes:
        """Return the beginning of a file, nothing if it cannot be read."""
        try:
            with path.open("rb") as file:
                return file.read(HEAD_BYTES)
        except OSError:
            return b""

    def text(self, path: Path, most: int = MOST_SMALL_TEXT_BYTES) -> str:
        """Read a text file in UTF-8, with or without a byte order mark.

        Raises:
            DataError: "file: reason"; it is too large, unreadable or no such text.
        """
        try:
            with path.open("rb") as file:
                data = file.read(most + 1)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        if len(data) > most:
            raise DataError(f"{path}: is larger than {most >> 20} MiB; export it in parts")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise DataError(f"{path}: is no text in UTF-8; save it as such") from None

    def json(self, path: Path) -> Any:  # Any: whatever a stranger wrote
        """Read a JSON file; the one read last is kept.

        Raises:
            DataError: "file: reason".
        """
        if path not in self._json:
            text = self.text(path, MOST_TEXT_BYTES)
            try:
                self._json = {path: json.loads(text)}
            except (ValueError, RecursionError):
                raise DataError(f"{path}: is damaged or no JSON; export it again") from None
        return self._json[path]

    def xml(self, path: Path) -> ElementTree.Element:
        """Read an XML file without declarations of types and entities.

        Raises:
            DataError: "file: reason".
        """
        text = self.text(path, MOST_TEXT_BYTES)
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DataError(f"{path}: declares XML entities, which no label tool writes")
        try:
            return ElementTree.fromstring(text)
        except (ElementTree.ParseError, ValueError):
            raise DataError(f"{path}: is damaged or no XML; export it again") from None


def _walk(root: Path) -> Iterator[Path]:
    """Yield regular files below a folder; hidden ones, links to folders and `__MACOSX` are not."""
    count = 0
    for folder, folders, names in os.walk(root):
        parent = Path(folder)
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        for name in names:
            path = parent / name
            if name.startswith(".") or not _is_regular(path):
                continue
            count += 1
            if count > MOST_FILES:
                raise DataError(f"{root} holds more than {MOST_FILES} files; name the export alone")
            yield path


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
