"""The choice of the frames from devices that a round learns from: the random control stream, then
by score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.adapt.champion import learned_frames
from edgeseg.adapt.records.record_import import load_origins
from edgeseg.imaging.perceptual_hash import HashSet
from edgeseg.site import Frame, Site


@dataclass(frozen=True)
class RecordCandidate:
    """A frame from a device's log.

    Attributes:
        frame: The frame at the site.
        score: The share of unreliable pixels that the device found.
        control: Whether the device drew it at random, whatever its score.
    """

    frame: Frame
    score: float
    control: bool


@dataclass(frozen=True)
class RecordSelection:
    """The chosen frames, and numbers of the others, under the keys of `state.json`.

    Attributes:
        chosen: Frame ids, the control stream first, then by falling score.
        control: The number of them that belong to the control stream.
        duplicates: The number of candidates left out because they are near-copies of a chosen one.
        over: The number of candidates left out because the round is full.
    """

    chosen: tuple[str, ...]
    control: int
    duplicates: int
    over: int


def find_candidates(site: Site) -> list[RecordCandidate]:
    """Return the frames from devices that the champion has not learned from."""
    learned, origins = learned_frames(site), load_origins(site)
    candidates = []
    for frame in site.frames("unlabelled"):
        if frame.origin == "log" and frame.id not in learned:
            origin = origins.get(frame.id)
            control = origin is not None and origin.reason == "random"
            candidates.append(RecordCandidate(frame, origin.score if origin else 0.0, control))
    return candidates


def select_records(
    candidates: Sequence[RecordCandidate], max_records: int, near_duplicate: int
) -> RecordSelection:
    """Choose at most `max_records` frames.

    The control stream is kept, near-copies and all, so that figures from it stay unbiased; where it
    alone would fill half of the round it is thinned evenly, in the order of a digest of the ids. A
    frame with a high score stays only if no chosen one is within `near_duplicate` bits of its
    perceptual hash. The same candidates give the same choice in whatever order they come.
    """
    control = sorted(
        (candidate for candidate in candidates if candidate.control),
        key=lambda candidate: hashlib.sha256(candidate.frame.id.encode()).digest(),
    )
    scored = sorted(
        (candidate for candidate in candidates if not candidate.control),
        key=lambda candidate: (-candidate.score, candidate.frame.id),
    )
    chosen = [candidate.frame for candidate in control[: max(1, max_records // 2)]]
    chosen_control, over = len(chosen), len(control) - len(chosen)
    hashes = HashSet([int(frame.hash, 16) for frame in chosen])
    duplicates = 0
    for candidate in scored:
        image_hash = int(candidate.frame.hash, 16)
        if len(chosen) == max_records:
            over += 1
        elif hashes.has_within(image_hash, near_duplicate):
            duplicates += 1
        else:
            hashes.add(image_hash)
            chosen.append(candidate.frame)
    return RecordSelection(tuple(frame.id for frame in chosen), chosen_control, duplicates, over)
