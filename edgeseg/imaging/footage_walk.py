"""The files that a path, a folder or a pattern on a command line names: one walk for all commands.

`add footage` and `infer --source` find the same files in the same order.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from edgeseg.disk.stored_paths import home_path
from edgeseg.imaging.file_names import natural_sort_key


def named_files(text: str | Path, *, leave_out: Collection[Path] = ()) -> list[Path]:
    """Return the files that `text` names: itself, all below a folder, or what a pattern matches.

    What exists under exactly this name is taken for no pattern, so `clip[1].mp4` is found. Hidden
    files and folders are left out, unless they are named themselves. Links are followed, since
    footage often lies elsewhere, and each real file and folder counts once: a link that leads back
    to where the walk has been leads nowhere.

    Args:
        text: A path, or a pattern such as `cam?/*.mp4`, in which `**` stands for any folders.
        leave_out: Folders that are not walked.

    Returns:
        The files in natural order; none where nothing is found.

    Raises:
        OSError: A folder cannot be listed; `filename` names it.
    """
    path = home_path(Path(text))
    if path.exists():
        matches = [path]
    else:
        found = glob.glob(str(path), recursive=True)  # noqa: PTH207  # pathlib wants relative ones
        matches = sorted(map(Path, found), key=natural_sort_key)
    seen = {os.path.realpath(folder) for folder in leave_out}
    return [file for match in matches for file in _walk(match, seen)]


def is_named(text: str | Path) -> bool:
    """Return whether there is a file or folder of exactly this name."""
    return home_path(Path(text)).exists()


def _walk(path: Path, seen: set[str]) -> Iterator[Path]:
    """Yield a file, or the files below a folder, that were not seen yet.

    Args:
        seen: Real paths of files and folders to pass over; those that are found are added.
    """
    real = os.path.realpath(path)  # pathlib fails on a link that leads to itself
    if real in seen:
        return
    seen.add(real)
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        return  # a socket, a pipe, a link to nothing
    entries = [Path(entry.path) for entry in os.scandir(path) if not entry.name.startswith(".")]
    entries.sort(key=natural_sort_key)
    for entry in sorted(entries, key=Path.is_dir):  # its files first
        yield from _walk(entry, seen)
