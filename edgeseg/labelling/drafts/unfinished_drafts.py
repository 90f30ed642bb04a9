"""Which frames somebody has begun to draw on and not finished, told by the ends of journals."""

from __future__ import annotations

from pathlib import Path

from edgeseg.site import Site

FOLDER = "labelling/drafts"


class UnfinishedDrafts:
    """The unfinished drafts of a site; a journal that did not change is read once."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ends: dict[tuple[str, int, int], bool] = {}  # whether nothing is left to finish

    def frames(self) -> set[str]:
        """Return the ids of the frames."""
        found = set()
        for path in (self._site.root / FOLDER).glob("*.journal"):
            facts = path.stat()
            key = (path.stem, facts.st_mtime_ns, facts.st_size)
            if key not in self._ends:
                line = _last_line(path, facts.st_size)
                # With "site" it is either a finish or a step that follows the site.
                self._ends[key] = b'"kind": "finish"' in line or b'"site": "' in line
            if not self._ends[key]:
                found.add(path.stem)
        return found


def _last_line(path: Path, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, size - 1000))  # the line of a "finish" is shorter
        return file.read().rstrip(b"\n").rpartition(b"\n")[2]
