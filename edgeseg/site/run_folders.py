"""The numbered folders of runs: `runs/<verb>/expN`."""

from __future__ import annotations

from pathlib import Path


def run_folders(root: Path, verb: str) -> list[Path]:
    """Return `root/runs/<verb>/expN` in the order of their numbers."""
    numbered = [
        path
        for path in (root / "runs" / verb).glob("exp*")
        if path.name.removeprefix("exp").isdigit()
    ]
    return sorted(numbered, key=_run_number)


def _run_number(path: Path) -> int:
    return int(path.name.removeprefix("exp"))


def make_run_folder(root: Path, verb: str) -> Path:
    """Make and return the next free `root/runs/<verb>/expN`."""
    runs = run_folders(root, verb)
    number = _run_number(runs[-1]) + 1 if runs else 1
    while True:
        path = root / "runs" / verb / f"exp{number}"
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1
