"""Which frames somebody has begun to draw on and not finished, told by the ends of journals."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from edgeseg.site import Site

FOLDER = "labelling/drafts"


class UnfinishedDrafts:
    """The unfinished drafts of a site; a journal that did not change is read once."""

    def __init__(self, site: Site) -> None:
        self._site = site
        # Of each frame: when its journal changed (ns), its bytes, whether something is unfinished.
        self._known: dict[str, tuple[int, int, bool]] = {}

    def frames(self) -> set[str]:
        """Return the ids of the frames."""
        known: dict[str, tuple[int, int, bool]] = {}
        for path in (self._site.root / FOLDER).glob("*.journal"):
            with suppress(FileNotFoundError):  # removed since the folder was listed
                known[path.stem] = self._state(path)
        self._known = known
        return {frame_id for frame_id, (*_, unfinished) in known.items() if unfinished}

    def _state(self, path: Path) -> tuple[int, int, bool]:
        facts, before = path.stat(), self._known.get(path.stem)
        if before is not None and before[:2] == (facts.st_mtime_ns, facts.st_size):
            return before
        line = _last_line(path, facts.st_size)
        # With "site" it is either a finish or a step that follows the site.
        finished = b'"kind": "finish"' in line or b'"site": "' in line
        return facts.st_mtime_ns, facts.st_size, not finished


def _last_line(path: Path, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, size - 1000))  # the line of a "finish" is shorter
        return file.read().rstrip(b"\n").rpartition(b"\n")[2]
