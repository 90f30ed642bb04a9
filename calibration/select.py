"""Which frames calibrate an INT8 file: drawn evenly over cameras and over time, the same for the same seed.

Neighbouring frames of a video are near-copies, and a condition that no frame shows gets clipped on the device, so the
spread matters more than the number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from edgeseg.errors import DataError
from edgeseg.site import Frame, Site


def calibration_frames(site: Site, number: int, seed: int = 0) -> list[Frame]:
    """Unlabelled frames of the site, filled up with labelled ones where there are too few; never val or gate.

    Returns:
        At most `number` frames in camera and time order.

    Raises:
        DataError: the site has neither.
    """
    unlabelled = site.frames("unlabelled")
    if len(unlabelled) >= number:
        return spread(unlabelled, number, seed)
    chosen = unlabelled + spread(site.frames("labelled"), number - len(unlabelled), seed)
    if not chosen:
        raise DataError(
            "the site has no unlabelled or labelled frames to calibrate with; add some with `edgeseg add footage PATH`"
        )
    return sorted(chosen, key=_order)


def spread(frames: Sequence[Frame], number: int, seed: int) -> list[Frame]:
    """`number` of `frames`, or all: equal shares for the cameras, one frame from each stretch of time."""
    cameras: dict[str, list[Frame]] = defaultdict(list)
    for frame in sorted(frames, key=_order):
        cameras[frame.camera].append(frame)
    random = np.random.default_rng(seed)
    chosen: list[Frame] = []
    left = min(number, len(frames))
    for place, camera in enumerate(sorted(cameras, key=lambda name: (len(cameras[name]), name))):  # the smallest first:
        mine = cameras[camera]
        share = min(len(mine), left // (len(cameras) - place))  # what it cannot give, the larger ones do
        left -= share
        edges = np.linspace(0, len(mine), share + 1).astype(int)
        chosen += [mine[int(random.integers(low, high))] for low, high in pairwise(edges)]
    return sorted(chosen, key=_order)


def _order(frame: Frame) -> tuple[str, str, float, str]:
    return frame.camera, frame.source, frame.time, frame.id
