"""Which of the frames that came back from devices a round learns from: the random control stream,
then by score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.imaging.perceptual_hash import HashSet
from edgeseg.site import Frame


@dataclass(frozen=True)
class RecordCandidate:
    """A frame from a device's log.

    Attributes:
        control: drawn at random on the device, whatever its score.
    """

    frame: Frame
    score: float
    control: bool


@dataclass(frozen=True)
class RecordSelection:
    """What was chosen.

    Attributes:
        chosen: frame ids, the control stream first, then by falling score.
        control: how many of them belong to the control stream.
        duplicates: candidates left out because they are near-copies of a chosen one.
        over: candidates left out because the round is full.
    """

    chosen: tuple[str, ...]
    control: int
    duplicates: int
    over: int


def select_records(candidates: Sequence[RecordCandidate], most: int, near: int) -> RecordSelection:
    """Choose at most `most` frames.

    The control stream is kept, near-copies and all, so that figures from it stay unbiased; where it
    alone would fill half of the round it is thinned evenly. A frame with a high score stays only if
    no chosen one is within `near` bits. The same candidates give the same choice in whatever order
    they come.
    """
    control = sorted(
        (c for c in candidates if c.control),
        key=lambda c: hashlib.sha256(c.frame.id.encode()).digest(),
    )
    scored = sorted((c for c in candidates if not c.control), key=lambda c: (-c.score, c.frame.id))
    chosen = [c.frame for c in control[: max(1, most // 2)]]
    kept_control, over = len(chosen), len(control) - len(chosen)
    seen = HashSet([int(frame.hash, 16) for frame in chosen])
    duplicates = 0
    for candidate in scored:
        if len(chosen) == most:
            over += 1
        elif seen.has_within(int(candidate.frame.hash, 16), near):
            duplicates += 1
        else:
            seen.add(int(candidate.frame.hash, 16))
            chosen.append(candidate.frame)
    return RecordSelection(tuple(frame.id for frame in chosen), kept_control, duplicates, over)
