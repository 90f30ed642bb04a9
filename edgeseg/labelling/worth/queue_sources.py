"""The frames that a queue can hold, by where they come from.

    footage    unlabelled frames of the site's own footage
    log        unlabelled frames that came home in frame logs
    round      the frames that the newest round of adaptation waits for, or has selected
    val        unlabelled frames that can judge: none of a stretch that labelled frames are of
    flagged    frames that a person or an alarm of a round has flagged, labelled or not

Skipped frames are in none of them, withheld ones only in "val": training never sees them, and what
lies near a val frame may judge too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from edgeseg.data.blocks import block_of
from edgeseg.labelling.frame_marks import read_marks
from edgeseg.labelling.worth.round_lists import (
    FLAGGED,
    REVIEW,
    SELECTED,
    newest_round,
    read_round_list,
)
from edgeseg.site import Frame, Site

QueueSource = Literal["footage", "log", "round", "val", "flagged"]


def frames_of_source(site: Site, source: QueueSource) -> list[Frame]:
    """Return the frames of a source, in the order of camera, source and time.

    Raises:
        DataError: The index is damaged.
    """
    marks = read_marks(site)
    frames = [frame for frame in site.frames() if marks.get(frame.id) != "skipped"]
    if source == "flagged":
        flagged = {frame_id for frame_id, mark in marks.items() if mark == "flagged"}
        flagged |= _round_frames(site, FLAGGED)
        return [frame for frame in frames if frame.id in flagged]
    unlabelled = [frame for frame in frames if frame.mask is None]
    if source == "val":
        return _frames_that_can_judge(site, frames, unlabelled)
    unlabelled = [frame for frame in unlabelled if not frame.withheld]
    if source == "round":
        chosen = _round_frames(site, REVIEW) or _round_frames(site, SELECTED)
        return [frame for frame in unlabelled if frame.id in chosen]
    is_log = source == "log"
    return [frame for frame in unlabelled if (frame.origin == "log") == is_log]


def _frames_that_can_judge(
    site: Site, frames: Iterable[Frame], unlabelled: list[Frame]
) -> list[Frame]:
    """Return frames of stretches that nobody labelled for training; all if there are none.

    A frame beside one that trains would flatter every figure.
    """
    seconds = site.config.data.block_seconds
    taught = {block_of(frame, seconds) for frame in frames if frame.split == "labelled"}
    apart = [frame for frame in unlabelled if block_of(frame, seconds) not in taught]
    return apart or unlabelled


def _round_frames(site: Site, name: str) -> set[str]:
    """Return the frames of a list of the newest round."""
    folder = newest_round(site)
    return {entry.frame for entry in read_round_list(folder, name)} if folder else set()
