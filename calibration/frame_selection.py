"""The frames that calibrate an INT8 file.

Neighboring frames of a video are near-copies, and a condition that no frame shows gets clipped on
the device, so what the frames cover matters more than how many there are. "spread" takes equal
shares of the cameras and of the time, which needs nothing but the frames' names; "kcentre" and
"classes" go by what the float model predicts for the frames.
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
    """What the float model gives for N frames.

    Attributes:
        features: (N, D) the encoder's last map, averaged over its pixels.
        areas: (N, C) the share of each class.
        scores: (N,) the share of unreliable pixels.
    """

    features: Floats
    areas: Floats
    scores: Floats


def calibration_candidates(site: Site, number: int, seed: int = 0) -> list[Frame]:
    """Return frames to choose `number` from: unlabelled ones, filled up with labelled ones.

    Val and gate frames are never among them.

    Returns:
        Frames in camera and time order.

    Raises:
        DataError: The site has neither.
    """
    unlabelled = site.frames("unlabelled")
    if len(unlabelled) >= number:
        return sorted(unlabelled, key=_camera_and_time)
    labelled = spread_frames(site.frames("labelled"), number - len(unlabelled), seed)
    candidates = unlabelled + labelled
    if not candidates:
        raise DataError(
            "the site has no unlabelled or labelled frames to calibrate with; "
            "add some with `edgeseg add footage PATH`"
        )
    return sorted(candidates, key=_camera_and_time)


def spread_frames(frames: Sequence[Frame], number: int, seed: int) -> list[Frame]:
    """Return `number` of `frames`, or all: equal shares for the cameras, spread over their time.

    A camera's time is cut into as many stretches as it gives frames, and each gives one of its own
    at random. What a camera with few frames cannot give, those with more do: 20 frames of two
    cameras with 3 and 100 are 3 and 17.
    """
    cameras: dict[str, list[Frame]] = defaultdict(list)
    for frame in sorted(frames, key=_camera_and_time):
        cameras[frame.camera].append(frame)
    random = np.random.default_rng(seed)
    chosen: list[Frame] = []
    missing = min(number, len(frames))
    smallest_first = sorted(cameras, key=lambda name: (len(cameras[name]), name))
    for place, camera in enumerate(smallest_first):
        frames_of_camera = cameras[camera]
        cameras_left = len(cameras) - place
        share = min(len(frames_of_camera), missing // cameras_left)
        missing -= share
        edges = np.linspace(0, len(frames_of_camera), share + 1).astype(int)
        chosen += [
            frames_of_camera[int(random.integers(start, end))] for start, end in pairwise(edges)
        ]
    return sorted(chosen, key=_camera_and_time)


def select_frames(
    frames: Sequence[Frame],
    number: int,
    strategy: Strategy,
    *,
    seed: int = 0,
    statistics: FrameStatistics | None = None,
    hard_share: float = 0.0,
) -> list[Frame]:
    """Return `number` of `frames`, or all.

    Args:
        statistics: Those of the frames, in order; "kcentre", "classes" and a `hard_share` need
            them.
        hard_share: The share of the result that are the frames with the highest score; they widen
            ranges on purpose.

    Returns:
        Frames in camera and time order.
    """
    number = min(number, len(frames))
    hard: list[int] = []
    if hard_share:
        assert statistics is not None
        hardest_first = np.argsort(-statistics.scores, kind="stable")
        hard = hardest_first[: round(hard_share * number)].tolist()
    rest = [place for place in range(len(frames)) if place not in set(hard)]
    missing = number - len(hard)
    if strategy == "spread":
        chosen = spread_frames([frames[place] for place in rest], missing, seed)
    elif strategy == "random":
        drawn = np.random.default_rng(seed).choice(len(rest), missing, replace=False)
        chosen = [frames[rest[place]] for place in drawn]
    else:
        assert statistics is not None
        places = (
            k_center(statistics.features[rest], missing)
            if strategy == "kcentre"
            else cover_classes(statistics.areas[rest], missing)
        )
        chosen = [frames[rest[place]] for place in places]
    return sorted([*chosen, *(frames[place] for place in hard)], key=_camera_and_time)


def k_center(features: Floats, number: int) -> list[int]:
    """Return places of `number` points that lie far apart: greedy k-center (Gonzalez, 1985).

    The first is the point closest to the mean; each further one is the point farthest from all
    that were taken.

    Args:
        features: (N, D); each dimension is brought to the same spread first.
    """
    points = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    chosen = [int(np.argmin((points**2).sum(1)))]
    distance = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < number:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
        distance[chosen] = -1.0  # never again, even where all points are the same
    return chosen[:number]


def cover_classes(areas: Floats, number: int) -> list[int]:
    """Return places of `number` frames in which all classes occur, rare ones as often as may be.

    Each frame taken is the one that adds most to the sum over classes of the square root of their
    area so far.

    Args:
        areas: (N, C).
    """
    chosen: list[int] = []
    total = np.zeros(areas.shape[1])
    available = np.ones(len(areas), bool)
    for _ in range(number):
        gain = np.where(available, np.sqrt(total + areas).sum(1), -np.inf)
        chosen.append(int(np.argmax(gain)))
        total += areas[chosen[-1]]
        available[chosen[-1]] = False
    return chosen


def _camera_and_time(frame: Frame) -> tuple[str, str, float, str]:
    return frame.camera, frame.source, frame.time, frame.id
