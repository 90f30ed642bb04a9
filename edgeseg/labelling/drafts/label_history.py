"""The history of labels drawn in the page: who finished which mask, when, and from what.

`labelling/history.jsonl` gets a line for each finished mask once the site has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from edgeseg.labelling.json_lines import append_line
from edgeseg.site import Site, read_json_lines


class LabelRecord(TypedDict):
    """One finished mask.

    Attributes:
        frame: The id of the frame.
        name: The name of the event that finished it; unique.
        person: Who finished it.
        time: Seconds since 1970, by the server's clock.
        origin: What it began with: "prediction", "label" or "empty".
        model: The model that predicted it; empty without one.
        sha256: Digest of the mask's PNG file.
        changed: Share of the pixels that differ from what it began with.
        seconds: Time spent on it, pauses of more than a minute left out.
        steps: Number of steps by tool.
        split: The split that was asked for: "auto", "train", "val" or "gate".
    """

    frame: str
    name: str
    person: str
    time: float
    origin: str
    model: str
    sha256: str
    changed: float
    seconds: float
    steps: dict[str, int]
    split: str


class LabelHistory:
    """The file of all finished masks of a site."""

    def __init__(self, site: Site) -> None:
        """Read the names of the events that it holds."""
        self._path: Path = site.root / "labelling" / "history.jsonl"
        self._names = {str(entry.get("name")) for entry in read_json_lines(self._path)}

    def add(self, record: LabelRecord) -> None:
        """Add a record, unless it is there: a kill may let one be added twice.

        Raises:
            OSError: The disk does not take it.
        """
        if record["name"] not in self._names:
            append_line(self._path, dict(record))
            self._names.add(record["name"])
