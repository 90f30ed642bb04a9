"""The frames of a site to look through: asked by filters, answered in pages of rows."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.labelling.browse.device_records import DeviceRecord, read_device_records
from edgeseg.labelling.browse.frame_columns import FrameColumns, make_columns, split_of
from edgeseg.labelling.browse.frame_query import (
    MARK_CHOICES,
    ORIGIN_CHOICES,
    SPLIT_CHOICES,
    FrameQuery,
)
from edgeseg.labelling.browse.frame_story import LabelStories, frame_story
from edgeseg.labelling.browse.label_classes import LabelClasses
from edgeseg.labelling.browse.model_figures import ModelFigures, read_model_figures
from edgeseg.labelling.drafts.frame_lookup import FrameLookup
from edgeseg.labelling.drafts.unfinished_drafts import UnfinishedDrafts
from edgeseg.labelling.frame_marks import read_marks
from edgeseg.progress import ProgressReporter
from edgeseg.site import Frame, FrameNames, Site

MOST_ANSWERS = 8  # kept: a page of rows follows another of the same question
Row = dict[str, Any]  # Any: what JSON can hold


@dataclass(frozen=True)
class Answer:
    """The frames of a question.

    Attributes:
        places: Their places in the columns, in order.
        columns: The columns that these are of.
        counts: For each filter the number of frames of each of its values, all others holding.
    """

    places: NDArray[np.int64]
    columns: FrameColumns
    counts: dict[str, dict[str, int]]


class SiteFrames:
    """The frames of a site, looked at as they are now. Its methods may be called by any thread."""

    def __init__(
        self, site: Site, frames: FrameLookup, drawing: Callable[[], Collection[str]]
    ) -> None:
        """Look at nothing yet.

        Args:
            frames: The index.
            drawing: Tells the ids of frames that somebody has begun to draw on.
        """
        self.site = site
        self._frames, self._drawing = frames, drawing
        self.label_classes = LabelClasses(site)
        self.stories = LabelStories(site)
        self._lock = threading.Lock()
        self._key: tuple[object, ...] = ()
        self._columns: FrameColumns | None = None
        self._figures: ModelFigures | None = None
        self._records: dict[str, DeviceRecord] = {}
        self._answers: dict[FrameQuery, Answer] = {}
        self._label_stamp: object = object()  # of no index

    def read_labels(self, report: ProgressReporter) -> None:
        """Read the classes of all labels now, which else a thread does beside."""
        self.label_classes.read(list(self._frames.all().values()), report)
        self._label_stamp = self._frames.stamp()

    def ask(self, query: FrameQuery) -> Answer:
        """Return the frames of a question.

        Raises:
            DataError: The index is damaged.
        """
        with self._lock:
            columns = self._columns_now()
            if query not in self._answers:
                while len(self._answers) >= MOST_ANSWERS:
                    self._answers.pop(next(iter(self._answers)))
                self._answers[query] = self._answer(columns, query)
            return self._answers[query]

    def rows(self, answer: Answer, start: int, number: int) -> list[Row]:
        """Return some rows of an answer."""
        return [self._row(answer.columns, int(at)) for at in answer.places[start : start + number]]

    def row(self, frame_id: str) -> Row | None:
        """Return the row of one frame with its story; None where the site has none of this id."""
        with self._lock:
            columns = self._columns_now()
        for place, frame in enumerate(columns.frames):
            if frame.id == frame_id:
                story = frame_story(self.stories.entries().get(frame_id, []))
                record = self._records.get(frame_id)
                device = None if record is None else vars(record)
                return {**self._row(columns, place), "story": story, "device": device}
        return None

    def about(self) -> Row:
        """Return what holds for all frames: how many, who has looked, how far reading has come."""
        with self._lock:
            columns, figures = self._columns_now(), self._figures
        assert figures is not None
        return {
            "frames": len(columns.frames),
            "model": figures.model,
            "looked_at": int(np.isfinite(columns.entropy).sum()),
            "with_clock": int(np.isfinite(columns.clock).sum()),
            "with_score": int(np.isfinite(columns.score).sum()),
            "labels_unread": self.label_classes.left,
        }

    def _columns_now(self) -> FrameColumns:
        frames = tuple(self._frames.all().values())
        stamp = self._frames.stamp()
        if stamp != self._label_stamp:
            self._label_stamp = stamp
            self.label_classes.read_beside(frames)
            self.label_classes.wait(1.0)  # few labels are read at once
        drawing = frozenset(self._drawing())
        root = self.site.root
        files = (root / "labelling" / "marks.jsonl", root / "rounds" / "records.jsonl")
        tables = root / "cache" / "worth"
        key = (
            stamp,
            self.label_classes.version,
            drawing,
            self.stories.stamp(),
            *(_stamp_of(path) for path in (*files, tables, *sorted(tables.glob("*")))),
        )
        if self._columns is None or key != self._key:
            self._figures = read_model_figures(self.site)
            self._records = read_device_records(self.site)
            entries = self.stories.entries()
            self._columns = make_columns(
                frames,
                FrameNames(self.site),
                len(self.site.config.classes),
                label_classes=self.label_classes,
                figures=self._figures,
                records=self._records,
                marks=read_marks(self.site),
                drawing=drawing,
                labelled_at={name: float(each[-1]["time"]) for name, each in entries.items()},
            )
            self._key = key
            self._answers.clear()
        return self._columns

    def _answer(self, columns: FrameColumns, query: FrameQuery) -> Answer:
        names = self.site.config.class_names
        passed = columns.filters(query, names)
        everything = np.ones(len(columns.frames), bool)

        def others(name: str) -> NDArray[np.bool_]:
            kept = everything
            for other, flags in passed.items():
                if other != name:
                    kept = kept & flags
            return kept

        def count(name: str, column: NDArray[np.int64], values: Sequence[str]) -> dict[str, int]:
            counted = np.bincount(column[others(name)], minlength=len(values))
            return {value: int(number) for value, number in zip(values, counted)}

        # of classes all chosen ones must be shown, so the counts are those of one more
        with_all = others("")
        counts = {
            "camera": count("camera", columns.camera, columns.cameras),
            "split": count("split", columns.split, SPLIT_CHOICES),
            "origin": count("origin", columns.origin, ORIGIN_CHOICES),
            "mark": _sums(columns.marks[others("mark")], MARK_CHOICES),
            "class": _sums(columns.shown(query.seen)[with_all], names),
        }
        places = columns.order(query, np.flatnonzero(with_all))
        return Answer(places, columns, counts)

    def _row(self, columns: FrameColumns, place: int) -> Row:
        frame: Frame = columns.frames[place]
        names = self.site.config.class_names
        marks = [name for name, is_set in zip(MARK_CHOICES, columns.marks[place]) if is_set]
        return {
            "frame": frame.id,
            "name": columns.names[place],
            "camera": frame.camera,
            "source": frame.source,
            "offset": frame.time,
            "time": _finite(columns.clock[place]),
            "split": split_of(frame),
            "origin": frame.origin,
            "marks": marks,
            "is_labelled": frame.mask is not None,
            "classes": [name for name, shown in zip(names, columns.labels[place]) if shown],
            "predicted": [name for name, shown in zip(names, columns.sees[place]) if shown],
            "entropy": _finite(columns.entropy[place], 4),
            "contradiction": _finite(columns.contradiction[place], 4),
            "score": _finite(columns.score[place], 4),
            "height": frame.height,
            "width": frame.width,
        }


def _sums(flags: NDArray[np.bool_], values: Sequence[str]) -> dict[str, int]:
    return {value: int(number) for value, number in zip(values, flags.sum(0))}


def _finite(value: float, digits: int = 3) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _stamp_of(path: Any) -> tuple[str, int, int] | None:  # Any: a path
    try:
        facts = path.stat()
    except OSError:
        return None
    return path.name, facts.st_mtime_ns, facts.st_size


def open_site_frames(site: Site) -> SiteFrames:
    """Return the frames of a site without a page."""
    return SiteFrames(site, FrameLookup(site), UnfinishedDrafts(site).frames)
