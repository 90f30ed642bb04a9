"""What a person said about frames without labelling them: "not this one", or "look again".

`labelling/marks.jsonl` grows by one line per mark and the last one of a frame holds; a line that a
kill cut off is passed over. Labels themselves need no mark: a frame with a mask is labelled.
"""

from __future__ import annotations

import json
import os
import time
from typing import Literal, get_args

from edgeseg.atomic_files import fsync_dir
from edgeseg.json_text import to_json
from edgeseg.site import Site

FrameMark = Literal["skipped", "flagged", "cleared"]  # "cleared" takes the marks before it back
MAX_LINE = 1000  # bytes; marks are far shorter


def mark_frame(site: Site, frame_id: str, mark: FrameMark) -> None:
    """Note a mark, safe from a power cut when this returns.

    Raises:
        OSError: The disk does not take it.
    """
    path = site.root / "labelling" / "marks.jsonl"
    is_new = not path.exists()
    path.parent.mkdir(exist_ok=True)
    entry = {"frame": frame_id, "mark": mark, "time": round(time.time(), 3)}
    with open(path, "a+b") as file:
        # a line that a kill cut off must not swallow this one
        torn = file.tell() > 0 and not _ends_with_newline(file.fileno(), file.tell())
        file.write(b"\n" * torn + to_json(entry).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        fsync_dir(path.parent)


def read_marks(site: Site) -> dict[str, FrameMark]:
    """Return the mark that holds for each marked frame, by frame id."""
    marks: dict[str, FrameMark] = {}
    path = site.root / "labelling" / "marks.jsonl"
    if not path.is_file():
        return marks
    with open(path, "rb") as file:
        for line in file:
            try:
                entry = json.loads(line[:MAX_LINE])
                frame_id, mark = str(entry["frame"]), entry["mark"]
            except (ValueError, TypeError, KeyError):
                continue
            if mark == "cleared":
                marks.pop(frame_id, None)
            elif mark in get_args(FrameMark):
                marks[frame_id] = mark
    return marks


def _ends_with_newline(handle: int, size: int) -> bool:
    return os.pread(handle, 1, size - 1) == b"\n"
