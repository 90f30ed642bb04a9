"""All frames of a site in columns, so that a hundred thousand of them are filtered at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.labelling.browse.device_records import DeviceRecord
from edgeseg.labelling.browse.frame_query import (
    MARK_CHOICES,
    ORIGIN_CHOICES,
    SPLIT_CHOICES,
    FrameQuery,
    Moment,
)
from edgeseg.labelling.browse.label_classes import LabelClasses
from edgeseg.labelling.browse.model_figures import ModelFigures
from edgeseg.site import Frame, FrameNames

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FrameColumns:
    """N frames, in the order of the index.

    Attributes:
        frames: The frames.
        names: Their names for people.
        cameras: Names of all cameras.
        camera, split, origin: (N,) places in `cameras`, `SPLIT_CHOICES` and `ORIGIN_CHOICES`.
        marks: (N, 3) which of `MARK_CHOICES` a frame has.
        labels, sees: (N, C) classes that the label shows, and that a model sees.
        clock: (N,) seconds since 1970, NaN where nobody knows.
        offset: (N,) seconds since the start of the source.
        entropy, contradiction, score: (N,) NaN where no model, or no device, has looked.
        labelled_at: (N,) when the page's label was finished, NaN without one.
        texts: What is searched, in lower case.
    """

    frames: tuple[Frame, ...]
    names: tuple[str, ...]
    cameras: tuple[str, ...]
    camera: NDArray[np.int64]
    split: NDArray[np.int64]
    origin: NDArray[np.int64]
    marks: Flags
    labels: Flags
    sees: Flags
    clock: Floats
    offset: Floats
    entropy: Floats
    contradiction: Floats
    score: Floats
    labelled_at: Floats
    texts: tuple[str, ...]

    def filters(self, query: FrameQuery, class_names: Sequence[str]) -> dict[str, Flags]:
        """Return which frames pass each filter, (N,) each, by the filter's name."""
        everything = np.ones(len(self.frames), bool)
        camera_places = [place for place, name in enumerate(self.cameras) if name in query.cameras]
        wanted = {
            "camera": (self.camera, query.cameras, camera_places),
            "split": (self.split, query.splits, [SPLIT_CHOICES.index(x) for x in query.splits]),
            "origin": (
                self.origin,
                query.origins,
                [ORIGIN_CHOICES.index(each) for each in query.origins],
            ),
        }
        passed: dict[str, Flags] = {
            name: np.isin(column, places) if given else everything
            for name, (column, given, places) in wanted.items()
        }
        places = [MARK_CHOICES.index(each) for each in query.marks]
        passed["mark"] = np.asarray(self.marks[:, places].any(1), bool) if places else everything
        chosen = [place for place, name in enumerate(class_names) if name in query.classes]
        passed["class"] = np.asarray(self.shown(query.seen)[:, chosen].all(1), bool)
        passed["time"] = self._within(query.since, query.until)
        if query.text.strip():
            words = query.text.lower().split()
            passed["text"] = np.fromiter(
                (all(word in text for word in words) for text in self.texts), bool, len(self.texts)
            )
        return passed

    def shown(self, seen: str) -> Flags:
        """Return (N, C) the classes that frames show in label, prediction, or either."""
        if seen == "label":
            return self.labels
        return self.sees if seen == "prediction" else self.labels | self.sees

    def order(self, query: FrameQuery, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return places in the order of a query; frames without its figure come last."""
        if query.sort == "place":
            return places
        column = {
            "newest": self.clock,
            "entropy": self.entropy,
            "contradiction": self.contradiction,
            "score": self.score,
            "labelled": self.labelled_at,
        }[query.sort]
        return places[np.argsort(-column[places], kind="stable")]  # NaN sorts behind all numbers

    def _within(self, since: Moment | None, until: Moment | None) -> Flags:
        passed = np.ones(len(self.frames), bool)
        for bound, is_least in ((since, True), (until, False)):
            if bound is None:
                continue
            column = self.clock if bound.is_clock else self.offset
            passed &= column >= bound.seconds if is_least else column <= bound.seconds
        return passed


def make_columns(
    frames: Sequence[Frame],
    names: FrameNames,
    classes: int,
    *,
    label_classes: LabelClasses,
    figures: ModelFigures,
    records: Mapping[str, DeviceRecord],
    marks: Mapping[str, str],
    drawing: Collection[str],
    labelled_at: Mapping[str, float],
) -> FrameColumns:
    """Put together what is known about frames.

    Args:
        frames: In the order of the index.
        names: Their names and clocks.
        classes: Number C of classes.
        label_classes: What is known of their labels.
        figures: What a model said.
        records: What devices said.
        marks: What people said.
        drawing: Ids of frames that somebody has begun to draw on.
        labelled_at: When labels were finished, by frame id.
    """
    number = len(frames)
    cameras = tuple(sorted({frame.camera for frame in frames}))
    place_of = {name: place for place, name in enumerate(cameras)}
    called = tuple(names.of(frame) for frame in frames)
    labels = np.zeros((number, classes), bool)
    mark_flags = np.zeros((number, len(MARK_CHOICES)), bool)
    for place, frame in enumerate(frames):
        if pixels := label_classes.pixels(frame):
            labels[place] = np.asarray(pixels) > 0
        mark_flags[place] = (
            marks.get(frame.id) == "flagged",
            marks.get(frame.id) == "skipped",
            frame.id in drawing,
        )
    rows = np.array([figures.places.get(frame.id, -1) for frame in frames], np.int64)
    looked_at = rows >= 0
    sees = np.zeros((number, classes), bool)
    sees[looked_at] = figures.sees[rows[looked_at]]

    def figure(column: NDArray[np.float32]) -> Floats:
        values = np.full(number, np.nan)
        values[looked_at] = column[rows[looked_at]]
        return values

    def known(values: list[float | None]) -> Floats:
        return np.array([np.nan if value is None else value for value in values], np.float64)

    return FrameColumns(
        frames=tuple(frames),
        names=called,
        cameras=cameras,
        camera=np.array([place_of[frame.camera] for frame in frames], np.int64),
        split=np.array([SPLIT_CHOICES.index(split_of(frame)) for frame in frames], np.int64),
        origin=np.array([ORIGIN_CHOICES.index(frame.origin) for frame in frames], np.int64),
        marks=mark_flags,
        labels=labels,
        sees=sees,
        clock=known([names.clock(frame) for frame in frames]),
        offset=np.array([frame.time for frame in frames], np.float64),
        entropy=figure(figures.entropy),
        contradiction=figure(figures.contradiction),
        score=known([records[each.id].score if each.id in records else None for each in frames]),
        labelled_at=known([labelled_at.get(frame.id) for frame in frames]),
        texts=tuple(
            f"{name} {frame.source} {frame.id}".lower() for name, frame in zip(called, frames)
        ),
    )


def split_of(frame: Frame) -> str:
    """Return the split of a frame as people choose it: "withheld" is one of its own."""
    return "withheld" if frame.withheld else frame.split
