"""ST++ (Yang et al., CVPR 2022, arXiv 2106.05095): the student learns the frames first on which the
teacher was stable.

A frame is stable when earlier checkpoints of the teacher labelled it like the last one. Other than
the paper, stability is ranked within each camera and frames of a single class are held back, or
night and empty frames, which every checkpoint labels alike, would be the first half; with a short
teacher the checkpoints come from its last third.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeseg.atomic_files import write_atomic
from edgeseg.losses.stpp_ranking import stability
from edgeseg.methods.framework.staged_method import Stages, learner
from edgeseg.methods.online.suponly import suponly
from edgeseg.site import Frame

SHARE = 0.5  # R: of the footage that the first student learns
CHECKPOINTS = 3
LONG = 2000  # steps from which on the teacher's checkpoints are spread over all of its training
SINGLE = 0.25  # at most so large a part of the chosen frames may show one class only


def stpp(stages: Stages) -> Path:
    """A third of the steps each for the teacher, the student of stable frames and the student of
    all frames.
    """
    whole = stages.config.steps / 3 >= LONG
    keep = [
        1 - (CHECKPOINTS - 1 - place) / (CHECKPOINTS if whole else 3 * CHECKPOINTS)
        for place in range(CHECKPOINTS)
    ]
    teacher = stages.train("teacher", 1 / 3, suponly, keep=keep)
    first = stages.label("labels", teacher)
    chosen = reliable(stages, stages.snapshots("teacher"))
    middle = stages.train("stable", 1 / 3, learner, labels=first, frames=chosen)
    rest = [frame for frame in stages.footage if frame not in set(chosen)]
    second = stages.label("relabelled", middle, rest)
    for frame in chosen:
        target = second / f"{frame.id}.png"
        if not target.exists():
            write_atomic(target, (first / f"{frame.id}.png").read_bytes(), sync=False)
    return stages.train("student", 1 / 3, learner, labels=second, last=True)


def reliable(stages: Stages, checkpoints: Sequence[Path]) -> list[Frame]:
    """The stable half of every camera's footage, by the sum of mIoU between earlier checkpoints and
    the last.
    """
    folders = [
        stages.label(f"checkpoint-{place}", weights, views=1)
        for place, weights in enumerate(checkpoints)
    ]
    cameras: dict[str, list[tuple[float, bool, Frame]]] = defaultdict(list)
    for frame in stages.footage:
        masks = [stages.mask(folder, frame) for folder in folders]
        single = len(np.unique(masks[-1])) == 1
        score = (
            stability(masks, stages.classes) if len(masks) > 1 else 0.0
        )  # a teacher of a step or two has one
        cameras[frame.camera].append((score, single, frame))
    return [frame for scored in cameras.values() for frame in _best(scored)]


def _best(scored: list[tuple[float, bool, Frame]]) -> list[Frame]:
    wanted = math.ceil(SHARE * len(scored))
    ordered = sorted(scored, key=lambda item: (-item[0], item[2].id))
    lone = [item for item in ordered if item[1]][: math.floor(SINGLE * wanted)]
    rich = [item for item in ordered if not item[1]]
    chosen = sorted([*rich, *lone], key=lambda item: (-item[0], item[2].id))[:wanted]
    return [frame for _, _, frame in chosen]
