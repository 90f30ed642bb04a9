"""What a person said about frames without labelling them: "not this one", or "look again".

`labelling/marks.jsonl` grows by one line per mark and the last one of a frame holds; a line that a
kill cut off is passed over. Labels themselves need no mark: a frame with a mask is labelled.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, cast, get_args

from edgeseg.labelling.json_lines import append_line
from edgeseg.site import Site, read_json_lines

FrameMark = Literal["skipped", "flagged", "cleared"]  # "cleared" takes the marks before it back
MARKS = get_args(FrameMark)


def mark_frame(site: Site, frame_id: str, mark: FrameMark) -> None:
    """Note a mark, safe from a power cut when this returns.

    Raises:
        OSError: The disk does not take it.
    """
    entry = {"frame": frame_id, "mark": mark, "time": round(time.time(), 3)}
    append_line(_path(site), entry)


def read_marks(site: Site) -> dict[str, FrameMark]:
    """Return the mark that holds for each marked frame, by frame id."""
    marks: dict[str, FrameMark] = {}
    for entry in read_json_lines(_path(site)):
        frame_id, mark = str(entry.get("frame")), entry.get("mark")
        if mark == "cleared":
            marks.pop(frame_id, None)
        elif mark in MARKS:
            marks[frame_id] = cast(FrameMark, mark)
    return marks


def _path(site: Site) -> Path:
    return site.root / "labelling" / "marks.jsonl"
