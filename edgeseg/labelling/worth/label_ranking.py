"""The order of labels: each next frame is the one that adds most to what is labelled and queued.

A label teaches about the frames that look like it. What a set of labels covers is the sum, over all
frames of the footage, of the likeness of the nearest of them ("facility location"); each frame
counts the more the less sure the model is of it. The greedy choice is within 1 - 1/e of the best
set (Nemhauser, Wolsey and Fisher, 1978; for active learning Wei, Iyer and Bilmes, 2015), and a
second frame of the same moment adds nothing. Frames that are near in time are more alike than those
that only look so: what a moving camera passes, and what light and weather make of a place, is told
by no feature of a whole picture as reliably. Greedy k-center (Sener and Savarese, 2018), which asks
for the frame farthest from all labels, begins with the odd ones: a blurred frame, a drop on the
lens. With a handful of labels typical frames teach more (Hacohen, Dekel and Weinshall, 2022), so
doubts weigh little at first and more as labels are added: a model of ten labels does not know what
it does not know.

To the coverage are added the doubts of the frame itself and classes that few labels show, both as
far as nothing like the frame is covered yet, and the balance of cameras, recordings and light.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeseg.labelling.worth.model_doubts import ModelDoubts

Floats = NDArray[np.float32]
Group = tuple[str, ...]  # such as ("camera", "b"): what a frame belongs to


class Moment(NamedTuple):
    """When a frame was taken: seconds of a recording; those of two recordings say nothing."""

    recording: tuple[str, str]
    seconds: float


@dataclass(frozen=True)
class WorthWeights:
    """The weights of the parts of a frame's value.

    Attributes:
        coverage, doubt, rare, balance: Each part lies in 0..1 at the first frame.
        trust: Labelled frames at which doubts count half of their weight.
        evenness: How much frames that look like few others gain in the coverage: 0 counts all
            frames alike, at 1 all scenes count alike however many frames show them.
        timeless: The share of their likeness that counts for frames far apart in time, or of two
            recordings; with 1 time does not matter.
    """

    coverage: float = 1.0
    doubt: float = 1.2
    rare: float = 0.5
    balance: float = 0.3
    trust: float = 4
    evenness: float = 0.5
    timeless: float = 0.3


@dataclass(frozen=True)
class LabelPool:
    """N frames that could be labelled, and M that are.

    Attributes:
        features: (N, D) what the frames show.
        labelled: (M, D) of labelled frames.
        groups: What each of the N belongs to, for the balance.
        labelled_groups: The same of the M.
        doubts: Those of the N; None without a model.
        class_areas: (C,) sum over the labelled frames of the share of each class.
        moments: When each of the N was taken; empty where that does not matter.
        labelled_moments: The same of the M.
    """

    features: Floats
    labelled: Floats
    groups: Sequence[Sequence[Group]]
    labelled_groups: Sequence[Sequence[Group]]
    doubts: ModelDoubts | None = None
    class_areas: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    moments: Sequence[Moment] = ()
    labelled_moments: Sequence[Moment] = ()


@dataclass(frozen=True)
class RankedFrame:
    """A frame in its place.

    Attributes:
        place: Its number in the pool.
        value: What it added, in units that fall along the order.
        parts: What of it is coverage, doubt, rare classes and balance, by name.
        like_labelled: How much it looks like the nearest labelled frame, 0..1.
        stands_for: Number of frames in the pool that look like it and like none before it.
        unsure_rank: Share of the pool that the model is surer of; 0 without a model.
    """

    place: int
    value: float
    parts: dict[str, float]
    like_labelled: float
    stands_for: int
    unsure_rank: float


def rank_frames(
    pool: LabelPool, number: int, worth: WorthWeights | None = None
) -> list[RankedFrame]:
    """Return the `number` frames to label first, the best first; all if there are fewer."""
    worth, total = worth or WorthWeights(), len(pool.features)
    alike, alike_labelled = likenesses(pool.features, pool.labelled)
    likeness, to_labelled = alike, alike_labelled  # what a label teaches of another frame
    if pool.moments:
        among, to_others = time_likenesses(pool.moments, pool.labelled_moments)
        likeness = alike * (worth.timeless + (1 - worth.timeless) * among)
        to_labelled = alike_labelled * (worth.timeless + (1 - worth.timeless) * to_others)
    covered = to_labelled.max(1, initial=0.0)
    like_labelled = alike_labelled.max(1, initial=0.0)
    shown_before = like_labelled.copy()
    trust, unsure = 0.0, np.zeros(total, np.float32)
    if pool.doubts is not None:
        trust = len(pool.labelled) / (len(pool.labelled) + worth.trust)
        unsure = _unsureness(pool.doubts)
    weights = 1 - trust + trust * unsure / max(float(unsure.mean()), 1e-6)
    weights = weights / likeness.sum(1) ** worth.evenness
    balance = _Balance(pool)
    areas = None if pool.doubts is None else pool.doubts.areas
    shown = pool.class_areas.astype(np.float64)
    available = np.ones(total, bool)
    scale: dict[str, float] = {}
    ranked: list[RankedFrame] = []
    for _ in range(min(number, total)):
        gains = np.maximum(likeness - covered[:, None], 0)
        is_new = 1 - covered
        parts = {
            "coverage": worth.coverage * _scaled(weights @ gains, "coverage", scale),
            "doubt": worth.doubt * trust * unsure * is_new,
            "balance": worth.balance * balance.deficits(),
        }
        if areas is not None:
            more = (np.sqrt(shown + areas) - np.sqrt(shown)).sum(1)
            parts["rare"] = worth.rare * _scaled(more, "rare", scale) * is_new
        value = np.where(available, sum(parts.values()), -np.inf)
        place = int(np.argmax(value))
        stands_for = (alike[:, place] > 0.5) & (alike[:, place] > shown_before)
        ranked.append(
            RankedFrame(
                place,
                float(value[place]),
                {name: float(part[place]) for name, part in parts.items()},
                float(like_labelled[place]),
                int(stands_for.sum()),
                float(unsure[place]),
            )
        )
        available[place] = False
        covered = np.maximum(covered, likeness[:, place])
        shown_before = np.maximum(shown_before, alike[:, place])
        balance.take(place)
        if areas is not None:
            shown += areas[place]
    return ranked


def likenesses(features: Floats, labelled: Floats) -> tuple[Floats, Floats]:
    """Return how much frames look alike, 0..1: (N, N) among them, (N, M) to labelled ones.

    It is exp(-d^2 / (2 s^2)) of the distance d of features brought to the same spread. s is the
    median distance to a frame's sqrt(N)-th neighbor, so that a label covers about as many frames:
    of 400 frames about 20.
    """
    together = np.concatenate([features, labelled])
    spread = together.std(0)
    points = (together - together.mean(0)) / np.where(spread > 1e-6, spread, 1)
    own, others = points[: len(features)], points[len(features) :]
    among = _squared_distances(own, own)
    neighbor = min(len(own) - 1, round(len(own) ** 0.5))
    scale = 2 * max(float(np.median(np.partition(among, neighbor, 1)[:, neighbor])), 1e-6)
    return np.exp(-among / scale), np.exp(-_squared_distances(own, others) / scale)


def time_likenesses(own: Sequence[Moment], others: Sequence[Moment]) -> tuple[Floats, Floats]:
    """Return how near frames are in time, 0..1: (N, N) among N of them, (N, M) to M others.

    It is 1 / (1 + t / s) of the seconds t between frames of one recording, 0 between recordings. s
    is half of what sqrt(N) of N evenly spaced frames take, so that frames far apart still differ:
    of 400 frames, one a second, 10 s.
    """
    spans: dict[tuple[str, str], tuple[float, float]] = {}
    for recording, seconds in own:
        first, last = spans.get(recording, (seconds, seconds))
        spans[recording] = min(first, seconds), max(last, seconds)
    total = sum(last - first for first, last in spans.values())
    scale = max(total / (2 * len(own) ** 0.5), 1e-6)
    number = {recording: place for place, recording in enumerate(spans)}

    def columns(moments: Sequence[Moment]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return (
            np.array([number.get(moment.recording, -1) for moment in moments], np.int64),
            np.array([moment.seconds for moment in moments], np.float64),
        )

    own_recordings, own_seconds = columns(own)

    def near(moments: Sequence[Moment]) -> Floats:
        other_recordings, other_seconds = columns(moments)
        apart = np.abs(own_seconds[:, None] - other_seconds) / scale
        same = own_recordings[:, None] == other_recordings
        return np.asarray(np.where(same, 1 / (1 + apart), 0), np.float32)

    return near(own), near(others)


def _squared_distances(left: Floats, right: Floats) -> Floats:
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
    return np.asarray(np.maximum(squares, 0), np.float32)


def _unsureness(doubts: ModelDoubts) -> Floats:
    """Return (N,) 0..1: the share of frames that the model is surer of, by all three figures.

    Ranks, since the three have no common unit: of three frames with the entropies 0.1, 0.3, 0.2
    they are 0, 1 and 0.5.
    """
    figures = [doubts.entropy, doubts.unknown, doubts.contradiction]
    return np.asarray(np.mean([_ranks(figure) for figure in figures], 0), np.float32)


def _ranks(values: Floats) -> Floats:
    """Return ranks scaled to 0..1; equal values share the lowest of theirs."""
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values)
    return np.asarray(below / max(1, len(values) - 1), np.float32)


def _scaled(values: NDArray[np.floating], name: str, scale: dict[str, float]) -> Floats:
    """Return values in units of the highest one of the first frame."""
    unit = scale.setdefault(name, max(float(values.max(initial=0)), 1e-9))
    return np.asarray(values / unit, np.float32)


class _Balance:
    """How far groups lack labels: 1 for one without any, 0 for one with its share or more."""

    def __init__(self, pool: LabelPool) -> None:
        self._groups = pool.groups
        names = sorted({group for groups in pool.groups for group in groups})
        numbers = {name: number for number, name in enumerate(names)}
        self._member = np.zeros((len(pool.groups), len(names)), np.float32)
        for place, groups in enumerate(pool.groups):
            self._member[place, [numbers[group] for group in groups]] = 1
        labelled = Counter(group for groups in pool.labelled_groups for group in groups)
        self._labels = np.array([labelled[name] for name in names], np.float32)
        self._total = len(pool.labelled_groups)
        self._share = self._member.mean(0)

    def deficits(self) -> Floats:
        """Return (N,) the mean deficit of each frame's groups."""
        due = self._share * (self._total + 1)
        lacking = np.clip(1 - self._labels / np.maximum(due, 1e-6), 0, 1)
        return np.asarray(self._member @ lacking / np.maximum(self._member.sum(1), 1), np.float32)

    def take(self, place: int) -> None:
        """Count a frame as labelled."""
        self._labels += self._member[place]
        self._total += 1
