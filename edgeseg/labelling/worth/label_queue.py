"""The queue of a person who labels: frames in the order of what their labels are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.data.blocks import recording_of
from edgeseg.data.class_pixels import frame_class_pixels
from edgeseg.errors import DataError
from edgeseg.imaging.perceptual_hash import HashSet
from edgeseg.labelling.site_models import open_best_model
from edgeseg.labelling.worth.frame_groups import group_frames
from edgeseg.labelling.worth.frame_table import FrameTable, Row
from edgeseg.labelling.worth.judging_frames import order_judging_frames, spread_order
from edgeseg.labelling.worth.label_ranking import LabelPool, Moment, rank_frames
from edgeseg.labelling.worth.model_doubts import ModelDoubts, look_at_frame
from edgeseg.labelling.worth.pixel_features import describe_pixels
from edgeseg.labelling.worth.queue_reasons import LabelFacts, reasons_for
from edgeseg.labelling.worth.queue_sources import QueueSource, frames_of_source
from edgeseg.labelling.worth.queued_frame import QueuedFrame
from edgeseg.labelling.worth.round_lists import FLAGGED, REVIEW, newest_round, read_round_list
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Frame, Site

MOST_FRAMES = 2000  # that are looked at: likeness is between all pairs of them
MOST_RANKED = 100  # one by one; nobody labels more before the model is trained again
SHOWN = 0.001  # share of a frame from which on it shows a class
PIXEL_SHARE = 0.5  # weight of what a frame looks like beside what a model sees in it
BY_PERSON = "flagged by hand"
NOT_LOOKED_AT = "not looked at yet: a near copy of another frame, or beyond the first 2000"


def build_queue(
    site: Site,
    source: QueueSource = "footage",
    limit: int | None = None,
    *,
    report: ProgressReporter | None = None,
) -> tuple[QueuedFrame, ...]:
    """Return the frames of a source in the order in which labels are worth most.

    The first call looks at up to 2000 frames, which takes as long as predicting each of them twice;
    later ones, and one after an interruption, look only at what is new.

    Args:
        site: The site.
        source: Where the frames come from, see `queue_sources`.
        limit: The number of frames to return at most; all of them if left out.
        report: Told how far looking at the frames has come, and of models that cannot be used.

    Raises:
        DataError: The index is damaged.
    """
    report = report or NullReporter()
    frames = frames_of_source(site, source)
    if source == "val":
        queue = order_judging_frames(site, frames)
    elif source == "flagged":
        queue = _in_noted_order(site, FLAGGED, frames, (BY_PERSON,))
    elif source == "round" and (noted := _in_noted_order(site, REVIEW, frames, None)):
        queue = noted
    else:
        queue = order_by_worth(site, frames, limit, report=report)
    return tuple(queue[:limit])


def order_by_worth(
    site: Site,
    frames: Sequence[Frame],
    limit: int | None = None,
    *,
    report: ProgressReporter | None = None,
) -> list[QueuedFrame]:
    """Return unlabelled frames in the order in which labels would teach most.

    Args:
        site: The site, with its labels and its model, if it has one.
        frames: The frames to order.
        limit: The number of frames that are needed, if not all.
        report: As in `build_queue`.
    """
    report = report or NullReporter()
    candidates, others = _worth_a_look(frames, site.config.data.near_duplicate)
    labelled = site.frames("labelled")
    pool, seen = _look_at(site, candidates, labelled, report)
    if pool is None:
        return []
    number = min(MOST_RANKED, len(seen), *([] if limit is None else [limit]))
    ranked = rank_frames(pool, number)
    facts = _label_facts(site, labelled, pool)
    highest = max(entry.value for entry in ranked) if ranked else 1.0
    queue, worth = [], 1.0
    for entry in ranked:
        worth = min(worth, max(0.0, entry.value / max(highest, 1e-9)))
        reasons = reasons_for(entry, pool, facts)
        facts.groups.update(pool.groups[entry.place])
        queue.append(QueuedFrame(seen[entry.place].id, round(worth, 4), reasons))
    queued = {entry.place for entry in ranked}
    rest = [frame for place, frame in enumerate(seen) if place not in queued]
    later = "like frames before it in the queue"
    queue += [QueuedFrame(frame.id, 0.0, (later,)) for frame in spread_order(rest)]
    return queue + [QueuedFrame(frame.id, 0.0, (NOT_LOOKED_AT,)) for frame in others]


def _worth_a_look(frames: Sequence[Frame], near_duplicate: int) -> tuple[list[Frame], list[Frame]]:
    """Return up to `MOST_FRAMES` frames, evenly spread and no near copies, and the others."""
    hashes = HashSet([])
    chosen: list[Frame] = []
    others: list[Frame] = []
    for frame in spread_order(frames):
        value = int(frame.hash, 16)
        is_copy = near_duplicate > 0 and hashes.has_within(value, near_duplicate)
        if is_copy or len(chosen) == MOST_FRAMES:
            others.append(frame)
        else:
            hashes.add(value)
            chosen.append(frame)
    return chosen, others


def _look_at(
    site: Site, candidates: Sequence[Frame], labelled: Sequence[Frame], report: ProgressReporter
) -> tuple[LabelPool | None, list[Frame]]:
    """Return what can be known about frames, and those of them whose image can be read."""
    classes = len(site.config.classes)
    table = FrameTable(site, "pixels-1")
    readable = set(
        table.fill([*candidates, *labelled], describe_pixels, report, "looking at frames")
    )
    candidates = [frame for frame in candidates if frame in readable]
    labelled = [frame for frame in labelled if frame in readable]
    if not candidates:
        return None, []
    everything = [*candidates, *labelled]
    pixels = table.rows(everything)
    features, doubts = unit_spread(pixels), None
    with open_best_model(site, report) as model:
        if model is not None:
            opinions = FrameTable(site, f"{model.digest[:24]}-1", model.name)
            opinions.fill(
                everything,
                lambda image: look_at_frame(model, image, classes),
                report,
                f"asking {model.name}",
            )
            whole = ModelDoubts.from_rows(opinions.rows(everything), classes)
            features = np.hstack([unit_spread(whole.features), PIXEL_SHARE * features])
            doubts = ModelDoubts.from_rows(opinions.rows(candidates), classes)
    number = len(candidates)
    groups = group_frames(site, everything, pixels)
    pool = LabelPool(
        features=features[:number],
        labelled=features[number:],
        groups=groups[:number],
        labelled_groups=groups[number:],
        doubts=doubts,
        class_areas=_class_areas(site, labelled).sum(0),
        moments=_moments(candidates),
        labelled_moments=_moments(labelled),
    )
    return pool, candidates


def _moments(frames: Sequence[Frame]) -> list[Moment]:
    return [Moment(recording_of(frame), frame.time) for frame in frames]


def unit_spread(features: Row) -> Row:
    """Return (N, D) features, each brought to the same spread, of mean length 1."""
    points = features - features.mean(0)
    points /= np.maximum(points.std(0), 1e-6)
    return np.asarray(points / max(float(np.linalg.norm(points, axis=1).mean()), 1e-6), np.float32)


def _class_areas(site: Site, labelled: Sequence[Frame]) -> Row:
    """Return the share of each class in labelled frames, (M, C); zeros for damaged masks."""
    areas = np.zeros((len(labelled), len(site.config.classes)), np.float32)
    for place, frame in enumerate(labelled):
        try:
            counts = np.array(frame_class_pixels(site, frame), np.float32)
        except DataError:
            continue  # `edgeseg status` names it
        areas[place] = counts / (frame.height * frame.width)
    return areas


def _label_facts(site: Site, labelled: Sequence[Frame], pool: LabelPool) -> LabelFacts:
    showing = (_class_areas(site, labelled) > SHOWN).sum(0)
    groups = {group for groups in pool.labelled_groups for group in groups}
    names = site.config.class_names
    return LabelFacts(names, len(labelled), [int(number) for number in showing], groups)


def _in_noted_order(
    site: Site, name: str, frames: Sequence[Frame], otherwise: tuple[str, ...] | None
) -> list[QueuedFrame]:
    """Return the frames that a list of the newest round names, in its order.

    Args:
        otherwise: The reasons of frames that it does not name, which come last; None leaves them
            out.
    """
    folder = newest_round(site)
    noted = read_round_list(folder, name) if folder else []
    waiting = {frame.id for frame in frames}
    queue = [entry for entry in noted if entry.frame in waiting]
    if otherwise is not None:
        named = {entry.frame for entry in queue}
        queue += [
            QueuedFrame(frame.id, 1.0, otherwise) for frame in frames if frame.id not in named
        ]
    return queue
