"""ST++ (Yang et al., CVPR 2022, arXiv 2106.05095): the student learns stable frames first.

A frame is stable when earlier checkpoints of the teacher labelled it like the last one. Other than
in the paper, stability is ranked within each camera and frames of a single class are held back, or
night and empty frames, which every checkpoint labels alike, would be the first half; with a short
teacher the checkpoints come from its last third.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgeseg.atomic_files import write_atomic
from edgeseg.losses.stpp_ranking import stability
from edgeseg.methods.framework.staged_method import Stages, self_training
from edgeseg.methods.online.suponly import suponly
from edgeseg.site import Frame

STABLE_SHARE = 0.5  # R: of the footage that the first student learns
CHECKPOINTS = 3
LONG = 2000  # steps from which on the teacher's checkpoints are spread over all of its training
SINGLE_CLASS_SHARE = 0.25  # at most so large a part of the chosen frames may show one class only


class ScoredFrame(NamedTuple):
    """A frame with its stability score, and whether it shows a single class."""

    score: float
    single_class: bool
    frame: Frame


def stpp(stages: Stages) -> Path:
    """A third of the steps each for the teacher, the student of stable frames, and that of all."""
    teacher = stages.train(
        "teacher", 1 / 3, suponly, keep=checkpoint_shares(stages.config.steps / 3)
    )
    first_labels = stages.label("labels", teacher)
    stable = stable_frames(stages, stages.snapshots("teacher"))
    stable_student = stages.train(
        "stable", 1 / 3, self_training, labels=first_labels, frames=stable
    )
    others = [frame for frame in stages.footage if frame not in set(stable)]
    second_labels = stages.label("relabelled", stable_student, others)
    for frame in stable:  # keep the labels that they had
        target = second_labels / f"{frame.id}.png"
        if not target.exists():
            write_atomic(target, (first_labels / f"{frame.id}.png").read_bytes(), sync=False)
    return stages.train("student", 1 / 3, self_training, labels=second_labels, last=True)


def checkpoint_shares(steps: float) -> list[float]:
    """Shares of the teacher's steps after which its checkpoints are taken, the last one being 1.

    Example: 1/3, 2/3, 1 for a long teacher, 7/9, 8/9, 1 for a short one.
    """
    parts = CHECKPOINTS if steps >= LONG else 3 * CHECKPOINTS
    return [1 - (CHECKPOINTS - 1 - place) / parts for place in range(CHECKPOINTS)]


def stable_frames(stages: Stages, checkpoints: Sequence[Path]) -> list[Frame]:
    """The stable half of every camera's footage, by the teacher's weights oldest first."""
    folders = [
        stages.label(f"checkpoint-{place}", weights, views=1)
        for place, weights in enumerate(checkpoints)
    ]
    cameras: dict[str, list[ScoredFrame]] = defaultdict(list)
    for frame in stages.footage:
        masks = [stages.mask(folder, frame) for folder in folders]
        single_class = len(np.unique(masks[-1])) == 1
        # A teacher of a step or two has one checkpoint only.
        score = stability(masks, stages.classes) if len(masks) > 1 else 0.0
        cameras[frame.camera].append(ScoredFrame(score, single_class, frame))
    return [frame for scored in cameras.values() for frame in _most_stable(scored)]


def _most_stable(scored: list[ScoredFrame]) -> list[Frame]:
    """The most stable share of one camera's frames, few of them with a single class."""

    def by_score(item: ScoredFrame) -> tuple[float, str]:
        return -item.score, item.frame.id

    number = math.ceil(STABLE_SHARE * len(scored))
    ordered = sorted(scored, key=by_score)
    limit = math.floor(SINGLE_CLASS_SHARE * number)
    single = [item for item in ordered if item.single_class][:limit]
    several = [item for item in ordered if not item.single_class]
    chosen = sorted([*several, *single], key=by_score)[:number]
    return [item.frame for item in chosen]
