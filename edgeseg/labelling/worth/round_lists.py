"""The lists of frames that a round of adaptation leaves for people: `rounds/NNNN/<name>.json`.

selected.json    all frames that the round learns from
review.json      those that a person is to see before it goes on, in order, with reasons
flagged.json     those that an alarm of the round is about, with reasons
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from edgeseg.atomic_files import write_json
from edgeseg.labelling.worth.queued_frame import QueuedFrame
from edgeseg.site import Site

SELECTED, REVIEW, FLAGGED = "selected.json", "review.json", "flagged.json"


def write_round_list(folder: Path, name: str, frames: Sequence[QueuedFrame]) -> None:
    """Write a list with worth and reasons into the folder of a round."""
    table = {
        "frames": [entry.frame for entry in frames],
        "worth": {entry.frame: entry.worth for entry in frames},
        "reasons": {entry.frame: list(entry.reasons) for entry in frames},
    }
    write_json(folder / name, table)


def read_round_list(folder: Path, name: str) -> list[QueuedFrame]:
    """Return a list of a round; empty if it is missing or damaged."""
    try:
        table = json.loads((folder / name).read_bytes())
        worth, reasons = table.get("worth", {}), table.get("reasons", {})
        return [
            QueuedFrame(
                str(frame_id), float(worth.get(frame_id, 1.0)), tuple(reasons.get(frame_id, ()))
            )
            for frame_id in table["frames"]
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def newest_round(site: Site) -> Path | None:
    """Return the folder of the newest round; None without any."""
    folders = [path for path in (site.root / "rounds").glob("[0-9]*") if path.name.isdigit()]
    return max(folders, key=lambda path: int(path.name), default=None)
