"""The drafts of a site: opened by frame, written by one tab at a time, finished into the site."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.image_codec import encode_png
from edgeseg.labelling.drafts.draft import Beginning, Draft
from edgeseg.labelling.drafts.draft_leases import DraftConflictError, DraftLeases
from edgeseg.labelling.drafts.finished_masks import DoorState, FinishedMasks
from edgeseg.labelling.drafts.frame_lookup import FrameLookup
from edgeseg.labelling.drafts.journal import Event
from edgeseg.labelling.drafts.label_history import LabelRecord
from edgeseg.labelling.drafts.mask_runs import decode_text, encode_text
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.drafts.site_masks import NONE, SiteMaskDigests, digest_of, read_site_mask
from edgeseg.labelling.drafts.unfinished_drafts import FOLDER, UnfinishedDrafts
from edgeseg.site import Frame, Site

BY_SITE = "the site"  # the person of steps that follow it
MOST_OPEN = 12  # drafts kept in memory


class DraftStore:
    """All drafts of a site. Its methods may be called from any thread; `lock` is held by who reads
    a draft.
    """

    def __init__(self, site: Site, predictions: Predictions, finished: FinishedMasks) -> None:
        self.site = site
        self.frames = FrameLookup(site)
        self.leases = DraftLeases()
        self._predictions = predictions
        self._finished = finished
        self._digests = SiteMaskDigests(site)
        self._open: OrderedDict[str, Draft] = OrderedDict()
        self._unfinished = UnfinishedDrafts(site)
        self.lock = threading.RLock()

    def open(self, frame_id: str) -> Draft:
        """Return the draft of a frame, begun now if there is none.

        It begins with the site's mask of the frame, else with the prediction, else with nothing.
        Where the site got another mask since, that is put into the draft as a step.

        Raises:
            DataError: The frame is unknown, or its files are damaged.
            OSError: The disk fails.
        """
        frame = self.frames.find(frame_id)
        with self.lock:
            known = self._open.get(frame_id)
            if known is not None and known.is_new and self._is_replaced(frame, known):
                del self._open[frame_id]
                known = None
        beginning = None if known else self._beginning(frame)
        with self.lock:
            draft = self._open.get(frame_id)
            if draft is None:
                assert beginning is not None
                classes = len(self.site.config.classes)
                draft = Draft(self._path(frame_id), frame_id, beginning, classes)
                self._open[frame_id] = draft
            self._open.move_to_end(frame_id)
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
            self._follow_site(frame, draft)
            return draft

    def write(self, frame_id: str, tab: str, event: Event) -> Draft:
        """Do an event of a tab that holds the frame, and keep it.

        Args:
            event: See `edgeseg.labelling.drafts.draft`. Its `beginning` is the digest of what the
                tab began with, and `start` that mask (`runs`, `origin`, `model`): a first step is
                done on it, whatever a newer model predicts.

        Raises:
            DraftConflictError: Another tab holds the frame or has changed it.
            DataError: The event is impossible.
            OSError: The disk does not take it.
        """
        with self.lock:
            known = self._open.get(frame_id)
        draft = self.open(frame_id)
        with self.lock:
            self.leases.take(frame_id, tab, event["person"])
            draft = self._open.setdefault(frame_id, draft)
            if known is not None and known.is_new and draft.is_new and draft is not known:
                raise _replaced()
            event = dict(event)
            shown, start = event.pop("beginning", ""), event.pop("start", None)
            if draft.is_new and shown not in ("", digest_of(draft.edits.start)):
                draft = self._begin_as_shown(draft, shown, start)
            if event["kind"] == "finish":
                self._finish(draft, event)
                event = {**event, "site": digest_of(draft.edits.mask)}
            draft.write(event)
            return draft

    def unfinished(self) -> set[str]:
        """Return the ids of frames that somebody has begun to draw on and not finished."""
        return self._unfinished.frames()

    def waiting(self) -> tuple[str, ...]:
        """Return the ids of frames whose finished masks the site does not have yet."""
        return self._finished.state().waiting

    def door(self) -> DoorState:
        """Return how finished masks get on."""
        return self._finished.state()

    def mask_of(self, frame: Frame) -> Mask | None:
        """Return the mask of a frame as it stands: of its draft, or of the site; None without any.

        Raises:
            DataError: It is damaged.
        """
        if self._path(frame.id).exists():
            draft = self.open(frame.id)
            with self.lock:
                mask: Mask = draft.edits.mask.copy()
            return mask
        return None if frame.mask is None else read_site_mask(self.site, frame)

    def _begin_as_shown(self, draft: Draft, shown: str, start: Mapping[str, str] | None) -> Draft:
        """Begin a draft with what its tab shows, such as a prediction of an earlier model.

        Raises:
            DraftConflictError: The site got a label instead, or the tab has to say what it shows.
            DataError: What it says is no such mask.
        """
        if draft.origin == "label":
            raise _replaced()
        if start is None:
            raise DraftConflictError(
                "beginning", BY_SITE, "another model predicts this frame now; send what you show"
            )
        classes = len(self.site.config.classes)
        mask = decode_text(start["runs"], *draft.edits.start.shape)
        if digest_of(mask) != shown or ((mask >= classes) & (mask != IGNORE)).any():
            raise DataError("what this frame began with is damaged; load the page again")
        beginning = Beginning(mask, start["origin"], start["model"], NONE)
        begun = Draft(self._path(draft.frame_id), draft.frame_id, beginning, classes)
        self._open[draft.frame_id] = begun
        return begun

    def _path(self, frame_id: str) -> Path:
        return self.site.root / FOLDER / f"{frame_id}.journal"

    def _beginning(self, frame: Frame) -> Beginning:
        if frame.mask is not None:
            mask = read_site_mask(self.site, frame)
            return Beginning(mask, "label", site=digest_of(mask))
        prediction = None
        if not self._path(frame.id).exists():  # a draft knows what it began with
            prediction = self._predictions.of(frame)
        if prediction is None:
            nothing = np.full((frame.height, frame.width), IGNORE, np.uint8)
            return Beginning(nothing, "empty", site=NONE)
        return Beginning(prediction.mask, "prediction", prediction.model, NONE)

    def _follow_site(self, frame: Frame, draft: Draft) -> None:
        """Put the site's mask into a draft where that was replaced since; undo takes it back."""
        if draft.is_new or not self._is_replaced(frame, draft):
            return
        mask = read_site_mask(self.site, frame)
        height, width = mask.shape
        event: Event = {
            "kind": "edit",
            "name": uuid.uuid4().hex,
            "revision": draft.revision,
            "person": BY_SITE,
            "tool": "site",
            "box": (0, 0, width, height),
            "runs": encode_text(mask),
            "site": digest_of(mask),
        }
        draft.write(event)

    def _is_replaced(self, frame: Frame, draft: Draft) -> bool:
        """Return whether the site has a mask of a frame that its draft knows nothing of."""
        if frame.mask is None or frame.id in self.waiting():
            return False
        if draft.is_finished and draft.site is None:  # of an older edgeseg
            return digest_of(draft.edits.mask) != self._digests.of(frame)
        return draft.site is not None and draft.site != self._digests.of(frame)

    def _finish(self, draft: Draft, event: Event) -> None:
        """Bring a mask to the site's door; only then the draft counts as finished."""
        if draft.has(event):
            return
        draft.check_revision(event)
        mask = draft.edits.mask
        if (mask == IGNORE).all():
            raise DataError("no pixel of this frame is labelled; label some, or skip the frame")
        record: LabelRecord = {
            "frame": draft.frame_id,
            "name": event["name"],
            "person": event["person"],
            "time": round(time.time(), 3),
            "origin": draft.origin,
            "model": draft.model,
            "sha256": hashlib.sha256(encode_png(mask)).hexdigest(),
            "changed": round(draft.edits.changed_share, 6),
            "seconds": round(draft.seconds, 1),
            "steps": dict(draft.steps),
            "split": event["split"],
        }
        self._finished.put(mask, record, draft.site)


def _replaced() -> DraftConflictError:
    return DraftConflictError(
        "stale",
        BY_SITE,
        "the site got another label of this frame since you loaded it; load it again",
    )
