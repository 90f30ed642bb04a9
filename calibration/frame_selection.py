"""Which frames calibrate an INT8 file.

Neighboring frames of a video are near-copies, and a condition that no frame shows gets clipped on
the device, so what the frames cover matters more than how many there are. "spread" takes equal
shares of the cameras and of the time, which needs nothing but the frames' names; "kcentre" and
"classes" go by what the float model makes of the frames.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError
from edgeseg.site import Frame, Site

Strategy = Literal["spread", "random", "kcentre", "classes"]
MAX_CANDIDATES = 1000  # frames that the float model looks at to choose among
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FrameStatistics:
    """What the float model makes of some frames.

    Attributes:
        features: (N, D) the encoder's last map, averaged over its pixels.
        areas: (N, C) share of each class.
        scores: (N,) share of unreliable pixels.
    """

    features: Floats
    areas: Floats
    scores: Floats


def calibration_candidates(site: Site, number: int, seed: int = 0) -> list[Frame]:
    """Frames to choose `number` from: unlabelled ones, filled up with labelled ones; never val or
    gate.

    Returns:
        Frames in camera and time order.

    Raises:
        DataError: the site has neither.
    """
    unlabelled = site.frames("unlabelled")
    if len(unlabelled) >= number:
        return sorted(unlabelled, key=_order)
    chosen = unlabelled + spread_frames(site.frames("labelled"), number - len(unlabelled), seed)
    if not chosen:
        raise DataError(
            "the site has no unlabelled or labelled frames to calibrate with; add some with `edgeseg add footage PATH`"
        )
    return sorted(chosen, key=_order)


def spread_frames(frames: Sequence[Frame], number: int, seed: int) -> list[Frame]:
    """`number` of `frames`, or all: equal shares for the cameras, one frame from each stretch of
    time.
    """
    cameras: dict[str, list[Frame]] = defaultdict(list)
    for frame in sorted(frames, key=_order):
        cameras[frame.camera].append(frame)
    random = np.random.default_rng(seed)
    chosen: list[Frame] = []
    left = min(number, len(frames))
    for place, camera in enumerate(
        sorted(cameras, key=lambda name: (len(cameras[name]), name))
    ):  # the smallest first:
        mine = cameras[camera]
        share = min(
            len(mine), left // (len(cameras) - place)
        )  # what it cannot give, the larger ones do
        left -= share
        edges = np.linspace(0, len(mine), share + 1).astype(int)
        chosen += [mine[int(random.integers(low, high))] for low, high in pairwise(edges)]
    return sorted(chosen, key=_order)


def select_frames(
    frames: Sequence[Frame],
    number: int,
    strategy: Strategy,
    *,
    seed: int = 0,
    statistics: FrameStatistics | None = None,
    hard_share: float = 0.0,
) -> list[Frame]:
    """`number` of `frames`, or all.

    Args:
        statistics: of the frames, in order; "kcentre", "classes" and a `hard_share` need them.
        hard_share: of the result that are the frames with the highest score; they widen ranges on
            purpose.

    Returns:
        Frames in camera and time order.
    """
    number = min(number, len(frames))
    hard: list[int] = []
    if hard_share:
        assert statistics is not None
        hard = np.argsort(-statistics.scores, kind="stable")[: round(hard_share * number)].tolist()
    rest = [place for place in range(len(frames)) if place not in set(hard)]
    wanted = number - len(hard)
    if strategy == "spread":
        chosen = spread_frames([frames[place] for place in rest], wanted, seed)
    elif strategy == "random":
        drawn = np.random.default_rng(seed).choice(len(rest), wanted, replace=False)
        chosen = [frames[rest[place]] for place in drawn]
    else:
        assert statistics is not None
        of = (
            k_center(statistics.features[rest], wanted)
            if strategy == "kcentre"
            else cover_classes(statistics.areas[rest], wanted)
        )
        chosen = [frames[rest[place]] for place in of]
    return sorted([*chosen, *(frames[place] for place in hard)], key=_order)


def k_center(features: Floats, number: int) -> list[int]:
    """Places of `number` points that lie as far apart as possible, one after another (Gonzalez,
    1985).

    Args:
        features: (N, D); each dimension is brought to the same spread first.
    """
    points = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    chosen = [int(np.argmin((points**2).sum(1)))]  # the most ordinary one
    distance = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < number:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
        distance[chosen] = -1.0
    return chosen[:number]


def cover_classes(areas: Floats, number: int) -> list[int]:
    """Places of `number` frames in which all classes occur, rare ones as often as may be.

    Each frame taken is the one that adds most to the sum over classes of the square root of their
    area so far.

    Args:
        areas: (N, C).
    """
    chosen: list[int] = []
    total = np.zeros(areas.shape[1])
    left = np.ones(len(areas), bool)
    for _ in range(number):
        gain = np.where(left, np.sqrt(total + areas).sum(1), -np.inf)
        chosen.append(int(np.argmax(gain)))
        total += areas[chosen[-1]]
        left[chosen[-1]] = False
    return chosen


def _order(frame: Frame) -> tuple[str, str, float, str]:
    return frame.camera, frame.source, frame.time, frame.id
