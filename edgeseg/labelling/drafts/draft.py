"""A draft: the mask of one frame while a person works on it, made of the events of its journal.

The first event tells what it began with, each later one what was done:

    start    from, model, runs, site: the whole mask, and where it came from
    edit     box, runs, tool, joined: new ids of a box, a step of its own or a part of the last
    undo, redo
    finish   split, site: the person holds the mask for right

`site` is the digest of the mask that the site has of the frame, or will have once it takes a
finished one; also of an edit that follows the site. Older journals lack it.

Each but the first has a revision, one more than that before, the name that its tab gave it, the
person and the time.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask
from edgeseg.labelling.drafts.draft_leases import DraftConflictError
from edgeseg.labelling.drafts.journal import Event, Journal
from edgeseg.labelling.drafts.mask_edits import Box, EditedMask
from edgeseg.labelling.drafts.mask_runs import decode_text, encode_text

FORMAT = 1
PAUSE = 60.0  # seconds without an event that count as a pause, not as work


@dataclass(frozen=True)
class Beginning:
    """What a draft begins with.

    Attributes:
        mask: (H, W) class ids.
        origin: "label" (the site's own mask), "prediction" or "empty".
        model: The model that predicted it.
        site: The digest of the site's mask.
    """

    mask: Mask
    origin: str
    model: str = ""
    site: str | None = None


class Draft:
    """The mask of a frame, its history and its revision."""

    def __init__(self, path: Path, frame_id: str, beginning: Beginning, classes: int) -> None:
        """Read the draft's journal, or begin with `beginning` where there is none.

        Raises:
            DataError: The journal is damaged or of another frame.
            OSError: The disk fails.
        """
        self._journal = Journal(path)
        self.frame_id = frame_id
        self.revision = 0
        self.is_finished = False
        self.origin, self.model = beginning.origin, beginning.model
        self.site = beginning.site  # digest of the mask that the site is known to have, if known
        self.seconds = 0.0
        self.steps: Counter[str] = Counter()
        self._last_time = 0.0
        self._last_name = ""
        self._last_person = ""
        self.edits = EditedMask(beginning.mask, classes)
        if self._journal.events:
            self._replay(beginning.mask.shape, classes)

    @property
    def is_new(self) -> bool:
        """Whether nothing was done yet, so that there is no journal."""
        return self.revision == 0

    def write(self, event: Event) -> None:
        """Do an event, and keep it; when this returns it survives a power cut.

        An event of the same name as the last one was written already, and only its answer was
        lost.

        Args:
            event: `kind`, `name`, `revision` (that of the draft as its writer knows it), `person`,
                and what the kind needs.

        Raises:
            DraftConflictError: The writer does not know the last events.
            DataError: The event is impossible.
            OSError: The disk does not take it.
        """
        if self.has(event):
            return
        self.check_revision(event)
        kept = {**event, "revision": self.revision + 1, "time": round(time.time(), 3)}
        box = self._checked(kept)
        self._journal.append([self._start(), kept] if self.is_new else [kept])
        self._do(kept, box)

    def has(self, event: Event) -> bool:
        """Return whether an event is the last one that was written."""
        return bool(event["name"] == self._last_name and self.revision == event["revision"] + 1)

    def check_revision(self, event: Event) -> None:
        """See that the writer of an event knows the last events.

        Raises:
            DraftConflictError: They do not.
        """
        if event["revision"] != self.revision:
            raise DraftConflictError(
                "stale",
                self._last_person,
                f"{self._last_person or 'another tab'} has changed this frame since you loaded "
                "it; load it again",
            )

    def _checked(self, event: Event) -> Box | None:
        """See that an event is possible, and return the box of an edit."""
        kind = event["kind"]
        if kind == "edit":
            box = Box(*event["box"])
            self.edits.step(box, event["runs"], event["tool"])
            return box
        if kind == "undo" and not self.edits.undo_steps:
            raise DataError("there is no step to take back; load the page again")
        if kind == "redo" and not self.edits.redo_steps:
            raise DataError("there is no step to do again; load the page again")
        return None

    def _do(self, event: Event, box: Box | None) -> None:
        kind = event["kind"]
        if kind == "edit" and box is not None:
            joined = event.get("joined", False)
            self.edits.apply(self.edits.step(box, event["runs"], event["tool"], joined=joined))
            self.steps[event["tool"]] += not joined
        elif kind == "undo":
            self.edits.undo()
        elif kind == "redo":
            self.edits.redo()
        self.is_finished = kind == "finish"
        if self.is_finished or "site" in event:
            self.site = event.get("site")
        pause = event["time"] - self._last_time
        self.seconds += pause if 0 < pause < PAUSE else 0
        self.revision, self._last_time = event["revision"], event["time"]
        self._last_name, self._last_person = event["name"], event["person"]

    def _start(self) -> Event:
        height, width = self.edits.mask.shape
        return {
            "kind": "start",
            "format": FORMAT,
            "frame": self.frame_id,
            "height": height,
            "width": width,
            "from": self.origin,
            "model": self.model,
            "runs": encode_text(self.edits.start),
            "site": self.site,
            "time": round(time.time(), 3),
        }

    def _replay(self, shape: tuple[int, ...], classes: int) -> None:
        start, *events = self._journal.events
        try:
            height, width = start["height"], start["width"]
            if start["format"] != FORMAT:
                raise DataError(f"{self._journal.path} was written by a newer edgeseg; update it")
            if start["frame"] != self.frame_id or (height, width) != shape:
                raise DataError(f"{self._journal.path} is of another frame; move it away")
            self.edits = EditedMask(decode_text(start["runs"], height, width), classes)
            self.origin, self.model = start["from"], start["model"]
            self.site = start.get("site")
            self._last_time = start["time"]
            for event in events:
                self._do(event, Box(*event["box"]) if event["kind"] == "edit" else None)
        except DataError as error:
            raise DataError(
                f"{self._journal.path} does not fit the site any more ({error}); move it away, and "
                "the frame begins again"
            ) from None
        except (KeyError, TypeError):
            raise DataError(
                f"{self._journal.path} is no draft of edgeseg; move it away, and the frame begins "
                "again"
            ) from None
