"""Frames as the page for labelling shows them: drafts, and the frame before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from edgeseg.labelling.drafts.draft import Draft
from edgeseg.labelling.drafts.draft_store import DraftStore
from edgeseg.labelling.drafts.mask_edits import Step
from edgeseg.labelling.drafts.mask_runs import encode_text
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.drafts.site_masks import digest_of
from edgeseg.labelling.frame_images import read_frame_image
from edgeseg.labelling.frame_marks import FrameMark, mark_frame, read_marks
from edgeseg.labelling.page.frame_pictures import FramePictures
from edgeseg.labelling.page.messages import OpenMessage
from edgeseg.labelling.page.scissors import EdgeScissors, Point
from edgeseg.site import Frame, FrameNames

MOST_SCISSORS = 3  # frames whose edges are kept in memory
View = dict[str, Any]  # Any: what JSON can hold


class FrameViews:
    """What the page asks about frames. Its methods may be called from any thread."""

    def __init__(self, store: DraftStore, predictions: Predictions) -> None:
        self.store = store
        self.pictures = FramePictures(store.site, store.frames, predictions)
        self._scissors: OrderedDict[str, EdgeScissors] = OrderedDict()
        self._lock = threading.Lock()

    def before(self, frame_id: str) -> View:
        """Return the mask of the nearest frame before that has one; `runs` empty without any."""
        for frame in self.store.frames.before(self.store.frames.find(frame_id)):
            mask = self.store.mask_of(frame)
            if mask is not None:
                return {"runs": encode_text(mask), "frame": frame.id}
        return {"runs": "", "frame": ""}

    def open(self, frame_id: str, message: OpenMessage) -> View:
        """Return a frame's draft; the tab holds it from now on, unless `holder` names another."""
        frame = self.store.frames.find(frame_id)
        draft = self.store.open(frame_id)
        with self.store.lock:
            leases = self.store.leases
            holder = None if message.force else leases.holder(frame_id, message.tab)
            if holder is None:
                leases.take(frame_id, message.tab, message.person, by_force=message.force)
            return self._view(frame, draft, holder)

    def _view(self, frame: Frame, draft: Draft, holder: str | None) -> View:
        edits = draft.edits
        return {
            "frame": frame.id,
            "name": FrameNames(self.store.site).of(frame),
            "split": frame.split,
            "height": frame.height,
            "width": frame.width,
            "mark": read_marks(self.store.site).get(frame.id, ""),
            "revision": draft.revision,
            "origin": draft.origin,
            "model": draft.model,
            "is_finished": draft.is_finished,
            "is_labelled": frame.mask is not None,
            "runs": encode_text(edits.mask),
            "start": encode_text(edits.start),
            "beginning": digest_of(edits.start),
            "undo": [_step(step) for step in edits.undo_steps],
            "redo": [_step(step) for step in edits.redo_steps],
            "holder": holder,
        }

    def mark(self, frame_id: str, mark: FrameMark) -> None:
        """Skip or flag a frame, or take that back."""
        mark_frame(self.store.site, self.store.frames.find(frame_id).id, mark)

    def clear_mark(self, frame_id: str) -> None:
        """Take a flag or a skip back: the frame has a finished mask now."""
        if frame_id in read_marks(self.store.site):
            mark_frame(self.store.site, frame_id, "cleared")

    def contour(self, frame_id: str, start: Sequence[int], end: Sequence[int]) -> list[Point]:
        """Return the way along edges between two pixels."""
        frame = self.store.frames.find(frame_id)
        with self._lock:
            scissors = self._scissors.get(frame_id)
        if scissors is None:
            scissors = EdgeScissors(read_frame_image(self.store.site, frame))
            with self._lock:
                self._scissors[frame_id] = scissors
                while len(self._scissors) > MOST_SCISSORS:
                    self._scissors.popitem(last=False)
        return scissors.contour((start[0], start[1]), (end[0], end[1]))


def _step(step: Step) -> View:
    box = step.box
    return {
        "box": [box.x, box.y, box.width, box.height],
        "before": step.before,
        "after": step.after,
        "tool": step.tool,
        "joined": step.joined,
    }
