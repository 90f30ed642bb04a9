"""The story of a frame: where it came from, who labelled it, when, and from which prediction."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from edgeseg.site import Site, read_json_lines

Entry = dict[str, Any]  # Any: what JSON can hold
Stamp = tuple[int, int]


class LabelStories:
    """What `labelling/history.jsonl` tells of each frame, read again when it grows."""

    def __init__(self, site: Site) -> None:
        self._path = site.root / "labelling" / "history.jsonl"
        self._stamp: Stamp | None = None
        self._entries: dict[str, list[Entry]] = {}
        self._lock = threading.Lock()

    def entries(self) -> dict[str, list[Entry]]:
        """Return the finished masks of each frame, oldest first, by its id."""
        with self._lock:
            stamp = self.stamp()
            if stamp != self._stamp:
                entries: dict[str, list[Entry]] = defaultdict(list)
                for entry in read_json_lines(self._path):
                    if isinstance(entry.get("time"), (int, float)):
                        entries[str(entry.get("frame"))].append(entry)
                self._entries, self._stamp = dict(entries), stamp
            return self._entries

    def stamp(self) -> Stamp | None:
        """Return what changes whenever the file does."""
        try:
            facts = self._path.stat()
        except OSError:
            return None
        return facts.st_mtime_ns, facts.st_size


def frame_story(entries: list[Entry]) -> list[Entry]:
    """Return what a page or a terminal shows of finished masks, newest first."""
    told = []
    for entry in reversed(entries):
        told.append(
            {
                "person": str(entry.get("person", ""))[:60],
                "time": float(entry["time"]),
                "origin": str(entry.get("origin", ""))[:20],
                "model": str(entry.get("model", ""))[:200],
                "changed": _number(entry.get("changed")),
                "seconds": _number(entry.get("seconds")),
                "steps": _total(entry.get("steps")),
                "split": str(entry.get("split", ""))[:20],
            }
        )
    return told


def _number(value: Any) -> float | None:  # Any: what JSON can hold
    return float(value) if isinstance(value, (int, float)) else None


def _total(steps: Any) -> int | None:  # Any: what JSON can hold
    if not isinstance(steps, dict) or not all(isinstance(each, int) for each in steps.values()):
        return None
    return sum(steps.values())
