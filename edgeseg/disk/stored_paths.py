"""Paths in the files of a site: relative to it, so that it can be moved and mounted elsewhere."""

from __future__ import annotations

import os
from pathlib import Path


def store_path(root: Path, path: Path) -> str:
    """Return how a file of the site at `root` names a path: relative where it lies inside.

    A folder of the site that is a link to another disk counts as inside, and the site may be
    reached through links.
    """
    as_typed = Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow the link
    for inside in (as_typed, path.resolve()):
        for base in inside.parents:
            if base.exists() and base.samefile(root):
                return inside.relative_to(base).as_posix()
    return str(path.resolve())


def find_stored_path(root: Path, stored: str) -> Path:
    """Return the path that `store_path` stored, as the site at `root` has it now.

    Earlier versions stored absolute paths. Where one is gone, as after a move of the site, the same
    place inside the site is taken: of "/old/site/runs/train/exp1" the longest end that exists,
    which is "runs/train/exp1".
    """
    path = Path(stored)
    if not path.is_absolute():
        return root / path
    if not path.exists():
        for start in range(1, len(path.parts)):
            inside = root.joinpath(*path.parts[start:])
            if inside.exists():
                return inside
    return path


def home_path(path: Path) -> Path:
    """Return a path with `~` replaced, which no shell has seen in a file or behind `--save=`.

    A folder that is really called so is taken as it is, as is the home of an unknown user, for
    which pathlib has no answer.
    """
    is_literal = not path.parts or Path(path.parts[0]).exists()
    return path if is_literal else Path(os.path.expanduser(path))  # noqa: PTH111
