"""The queue as the page shows it: what is next and why, and how each frame stands."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from edgeseg.errors import DataError, EdgesegError
from edgeseg.labelling.drafts.draft_store import DraftStore
from edgeseg.labelling.drafts.predictions import Predictions
from edgeseg.labelling.frame_marks import read_marks
from edgeseg.labelling.worth import QueuedFrame, QueueSource, build_queue, frames_of_source, needs
from edgeseg.progress import NullReporter
from edgeseg.site import HELD_OUT, Frame, FrameNames

# The last two are only looked at again.
SOURCES: tuple[str, ...] = (*get_args(QueueSource), "labelled", "skipped")
ASKING = ("footage", "log", "round")  # whose order a model may have to be asked for
PATIENCE = 2.0  # seconds to wait for an order before the frames come without one
Row = dict[str, Any]  # Any: what JSON can hold


@dataclass
class _Progress(NullReporter):
    """How far looking at the frames has come, for whoever waits for a queue."""

    title: str = ""
    done: int = 0
    total: int = 0

    def start(self, title: str, total: int | None) -> None:
        self.title, self.done, self.total = title, 0, total or 0

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount

    def stop(self) -> None:
        self.title = ""


class QueueRows:
    """The queues of a site, each ordered once and again when asked for.

    An order that takes long is made beside: until it is there, the frames come as they lie in the
    site, so that nobody waits for a model to look at thousands of them.
    """

    def __init__(self, store: DraftStore, predictions: Predictions) -> None:
        self._store = store
        self._predictions = predictions
        self._queues: dict[str, tuple[QueuedFrame, ...]] = {}
        self._faults: dict[str, str] = {}  # why there is no order
        self._workers: dict[str, threading.Thread] = {}
        self._known_needs: tuple[tuple[int, int] | None, list[str]] | None = None
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # one order is made at a time
        self._progress = _Progress()

    @property
    def progress(self) -> Row | None:
        """How far an order that is being made has come; None while there is none."""
        now = self._progress
        return {"title": now.title, "done": now.done, "total": now.total} if now.title else None

    def rows(self, source: str, *, anew: bool = False) -> Row:
        """Return a queue, and what the site still needs.

        Where ordering fails, `trouble` says why, and the frames come as they lie in the site.

        Args:
            source: One of `SOURCES`.
            anew: Order the frames again, by what was labelled meanwhile.

        Raises:
            DataError: There is no such queue, or the index is damaged.
        """
        if source not in SOURCES:
            raise DataError(f"there is no queue {source!r}; choose {', '.join(SOURCES)}")
        frames, marks = self._store.frames.all(), read_marks(self._store.site)
        queue: Sequence[QueuedFrame] | None
        trouble = ""
        if source == "labelled":
            queue = self._labelled()
        elif source == "skipped":
            queue = [QueuedFrame(each, 0.0, ()) for each in marks if marks[each] == "skipped"]
        else:
            queue, trouble = self._queue(source, anew=anew)
        is_ordered = queue is not None or bool(trouble)
        if queue is None:
            queue = self._as_they_lie(cast(QueueSource, source))
        drafts, waiting = self._store.unfinished(), set(self._store.waiting())
        names = FrameNames(self._store.site)
        rows = []
        for item in queue:
            if frame := frames.get(item.frame):
                state = _state(frame, marks.get(frame.id), frame.id in drafts, frame.id in waiting)
                rows.append(_row(frame, names.of(frame), item, state))
        done = {"flagged": {"skipped"}, "skipped": {"new", "labelled", "waiting"}}.get(
            source, {"labelled", "waiting", "skipped"}
        )
        return {
            "source": source,
            "is_ordered": is_ordered,
            "trouble": trouble,
            "frames": rows,
            "left": sum(row["state"] not in done for row in rows),
            "needs": self._needs(),
        }

    def _needs(self) -> list[str]:
        """Return what the site needs; looking at all of its masks again only when it changed."""
        stamp = self._store.frames.stamp()
        with self._lock:
            known = self._known_needs
        if known is None or known[0] != stamp:
            known = stamp, [_said_here(sentence) for sentence in needs(self._store.site)]
            with self._lock:
                self._known_needs = known
        return known[1]

    def _queue(self, source: str, *, anew: bool) -> tuple[tuple[QueuedFrame, ...] | None, str]:
        """Return an order, None while it is being made, and why it could not be made."""
        with self._lock:
            worker = self._workers.get(source)
            if worker is None and (anew or source not in self._queues):
                worker = threading.Thread(target=self._order, args=(source, anew), daemon=True)
                self._workers[source] = worker
                worker.start()
        if worker is not None:
            worker.join(PATIENCE)
        with self._lock:
            trouble = self._faults.pop(source, "")
            queue = None if source in self._workers else self._queues.get(source)
            return queue, trouble

    def _order(self, source: str, anew: bool) -> None:
        fault = ""
        queue = None
        try:
            if source in ASKING:
                with self._turn:
                    queue = self._ask_for_order(source, anew)
            else:  # nobody waits for the order of another queue
                queue = build_queue(self._store.site, cast(QueueSource, source))
        except (EdgesegError, OSError) as error:
            fault = str(error)
        except Exception as error:  # noqa: BLE001  # a bug costs the order, not the page
            fault = f"{type(error).__name__}: {error}; please report it"
        finally:
            with self._lock:
                if queue is not None:
                    self._queues[source] = queue
                    self._faults.pop(source, None)
                else:
                    self._faults[source] = fault or "it was interrupted"
                del self._workers[source]

    def _ask_for_order(self, source: str, anew: bool) -> tuple[QueuedFrame, ...]:
        if anew:
            self._predictions.forget()  # there may be a newer model
        try:
            return build_queue(self._store.site, cast(QueueSource, source), report=self._progress)
        finally:
            self._progress.stop()

    def _labelled(self) -> tuple[QueuedFrame, ...]:
        frames = [frame for frame in self._store.frames.all().values() if frame.mask]
        return tuple(QueuedFrame(frame.id, 0.0, (f"in {frame.split}",)) for frame in frames)

    def _as_they_lie(self, source: QueueSource) -> tuple[QueuedFrame, ...]:
        return tuple(
            QueuedFrame(frame.id, 0.0, ("not looked at yet",))
            for frame in frames_of_source(self._store.site, source)
        )


def _said_here(sentence: str) -> str:
    """Return what the site needs with what to do about it in the page."""
    for split in HELD_OUT:
        command = f"use `edgeseg add labels --split {split}`"
        sentence = sentence.replace(command, f"accept some that go to {split}")
    return sentence


def _state(frame: Frame, mark: str | None, is_draft: bool, is_waiting: bool) -> str:
    if is_waiting:
        return "waiting"
    if mark == "skipped":
        return "skipped"
    if is_draft:
        return "draft"
    return "labelled" if frame.mask else "new"


def _row(frame: Frame, name: str, item: QueuedFrame, state: str) -> Row:
    return {
        "frame": frame.id,
        "name": name,
        "source": frame.source,
        "split": frame.split,
        "worth": item.worth,
        "reasons": list(item.reasons),
        "state": state,
    }
