"""The distance by which methods can differ because of the choice of val frames, and how many more
would settle it. What the choice of seeds does is in `seed_noise`.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.compare.recommendation import best_rival
from edgeseg.compare.results import SUPERVISED_ONLY, MethodResult, find_method
from edgeseg.metrics import (
    MiouGain,
    MiouInterval,
    explain_doubt,
    mean_gain_interval,
    mean_miou_interval,
)


def frame_interval(result: MethodResult, blocks: Sequence[int]) -> MiouInterval | None:
    """Return the mean mIoU of a method with its interval over val frames; None where a run has not
    left its counts.

    Args:
        result: The method.
        blocks: The number of each val frame's block.
    """
    counts = result.counts()
    if counts is None or counts.shape[1] != len(blocks):
        return None
    return mean_miou_interval(counts, block=blocks)


def frame_gain(
    result: MethodResult, baseline: MethodResult, blocks: Sequence[int]
) -> MiouGain | None:
    """Return how far a method is above another with its interval over val frames, paired; None
    where a run has not left its counts.
    """
    counts, others = result.counts(), baseline.counts()
    if counts is None or others is None or not counts.shape[1] == others.shape[1] == len(blocks):
        return None
    return mean_gain_interval(counts, others, block=blocks)


def judged_pair(
    methods: Sequence[MethodResult], chosen: str | None
) -> tuple[MethodResult, MethodResult] | None:
    """Return the method whose gain is in question and "suponly"; None without two to compare.

    Args:
        methods: All, best mean first.
        chosen: The recommended one; where that is "suponly", its best rival is in question.
    """
    finished = [result for result in methods if result.runs]
    baseline = find_method(finished, SUPERVISED_ONLY)
    rival = find_method(finished, chosen)
    if rival is baseline:
        rival = best_rival(finished)
    return None if rival is None or baseline is None else (rival, baseline)


def explain_frames(
    methods: Sequence[MethodResult], chosen: str | None, blocks: Sequence[int]
) -> str | None:
    """Say that val cannot tell the method in question from "suponly", and how many labels would.

    None where it can, or nobody knows.
    """
    pair = judged_pair(methods, chosen)
    gain = frame_gain(*pair, blocks) if pair else None
    if pair is None or gain is None:
        return None
    return explain_doubt(gain, len(blocks), pair[0].method, pair[1].method)
