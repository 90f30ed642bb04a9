"""95 % intervals of mIoU and of its differences, by a bootstrap over the frames that judge.

What is drawn anew, with replacement, are blocks of neighboring frames, since neighbors are alike:
either so many frames in a row, or the blocks that `edgeseg.data.blocks.drawing_blocks` numbers. It
works on the confusion matrix of each frame, so nothing is predicted again.

The interval is the figure plus and minus its standard error over the draws, times the point of
Student's distribution for so many blocks. On CamVid, of whose frames 5, 9, 20 and 50 were drawn as
val, it held the figure of all of them in 97, 93, 90 and 93 % of 400 trials; the quantiles of the
draws did in 80, 84, 84 and 92 %, for few blocks never show all that could have been drawn
(`benchmarks/few_frames.py`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.metrics.confusion import Counts, iou_of_shown, miou, miou_of_each
from edgeseg.metrics.student_t import student_t_quantile

Blocks = int | Sequence[int]  # neighbors drawn together, or the number of each frame's block
SIGNIFICANCE = 0.05
POINT = 1.959964  # of the normal distribution, between which 95 % lie
POWER_POINT = POINT + 0.841621  # for a difference that four samples of five should show


@dataclass(frozen=True)
class MiouInterval:
    """A figure of a model with its 95 % interval over the frames that it was measured on.

    Attributes:
        miou: mIoU of all frames, in percent.
        low, high: The interval; NaN where all frames are one block.
        frames: Their number.
    """

    miou: float
    low: float
    high: float
    frames: int

    def as_json(self) -> dict[str, float | int | None]:
        """Return what metrics.json holds, with null for what does not exist."""
        low, high = (
            None if math.isnan(value) else round(value, 2) for value in (self.low, self.high)
        )
        return {"low": low, "high": high, "frames": self.frames}


def miou_interval(
    counts: Counts, *, draws: int = 1000, block: Blocks = 1, seed: int = 0
) -> MiouInterval:
    """The mIoU of a model and its interval over frames.

    Args:
        counts: (frames, C, C) in order.
        draws, block, seed: As in `paired_bootstrap`.
    """
    return mean_miou_interval(counts[None], draws=draws, block=block, seed=seed)


def mean_miou_interval(
    counts: Counts, *, draws: int = 1000, block: Blocks = 1, seed: int = 0
) -> MiouInterval:
    """The mean mIoU of the runs of one method, and its interval over frames.

    Args:
        counts: (runs, frames, C, C) of the same frames in order.
        draws, block, seed: As in `paired_bootstrap`.
    """
    blocks, frames = _blocks(counts, block), counts.shape[1]
    figure, number = _mean_miou(blocks), blocks.shape[1]
    if number < 2:
        return MiouInterval(figure, math.nan, math.nan, frames)
    margin = float(_margins(_resampled_mious(blocks, _resampled(number, draws, seed)), number))
    return MiouInterval(figure, max(0.0, figure - margin), min(100.0, figure + margin), frames)


@dataclass(frozen=True)
class MiouGain:
    """A difference in mIoU points with its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    challenger: Counts, champion: Counts, *, draws: int = 2000, block: Blocks = 1, seed: int = 0
) -> MiouGain:
    """The gain of the challenger over the champion, with a bootstrap interval over frames.

    Args:
        challenger, champion: (frames, C, C) counts of the same frames in the same order.
        draws: Number of resampled sets of frames.
        block: Neighboring frames drawn together, above 1 for dense video, whose frames are
            near-copies; or the number of each frame's block.
        seed: Of the draws.

    Returns:
        mIoU(challenger) - mIoU(champion) with its 95 % interval over resampled sets of frames; it
        has no width where all frames are one block.
    """
    if challenger.shape != champion.shape or not len(champion):
        raise ValueError("both need the counts of the same frames, at least one")
    return mean_gain_interval(challenger[None], champion[None], draws=draws, block=block, seed=seed)


def mean_gain_interval(
    challenger: Counts, champion: Counts, *, draws: int = 2000, block: Blocks = 1, seed: int = 0
) -> MiouGain:
    """The mean gain of the runs of one method over those of another, with its interval.

    Args:
        challenger, champion: (runs, frames, C, C) counts of the same frames in the same order.
        draws, block, seed: As in `paired_bootstrap`.

    Returns:
        The difference of the mean mIoU over runs, with its 95 % interval over resampled sets of
        frames.
    """
    challenger, champion = _blocks(challenger, block), _blocks(champion, block)
    weights = _resampled(challenger.shape[1], draws, seed)
    resampled_gain = _resampled_mious(challenger, weights) - _resampled_mious(champion, weights)
    gain = _mean_miou(challenger) - _mean_miou(champion)
    margin = float(_margins(resampled_gain, challenger.shape[1]))
    return MiouGain(gain, gain - margin, gain + margin)


def _resampled_mious(counts: Counts, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """(draws,) mean mIoU over runs of every resampled set, from (runs, blocks, C, C) counts and
    (draws, blocks) weights.
    """
    return np.asarray(np.mean([miou_of_each(np.tensordot(weights, run, 1)) for run in counts], 0))


def _mean_miou(counts: Counts) -> float:
    """Mean mIoU over runs of (runs, blocks, C, C) counts."""
    return float(np.mean([miou(run.sum(0)) for run in counts]))


def iou_margins(
    counts: Counts, *, draws: int = 1000, block: Blocks = 1, seed: int = 0
) -> NDArray[np.float64]:
    """The uncertainty of each class's mean IoU that comes from the choice of the frames.

    Args:
        counts: (runs, frames, C, C) of the same frames in order.
        draws, block, seed: As in `paired_bootstrap`.

    Returns:
        (C,) half the width of the 95 % interval over resampled sets of frames; NaN for a class that
        no frame shows.
    """
    counts = _blocks(counts, block)
    weights = _resampled(counts.shape[1], draws, seed)
    drawn = np.mean([iou_of_shown(np.tensordot(weights, run, 1)) for run in counts], 0)
    return _margins(drawn, counts.shape[1])


def _margins(drawn: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    """Half the width of the 95 % interval, of figures (draws, ...) of resampled sets of blocks.

    It is NaN for what no set shows, and 0 for a single block.
    """
    if blocks < 2:
        return np.asarray(np.where(np.isnan(drawn).all(0), np.nan, 0.0))
    point = student_t_quantile(SIGNIFICANCE, blocks - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a class that is nowhere
        error = np.nanstd(drawn, 0)
    # A set drawn of n varies by n - 1 n-ths of what sets drawn of the site do.
    return np.asarray(point * error * math.sqrt(blocks / (blocks - 1)))


def block_length(frames: int) -> int:
    """The number of neighboring frames to draw together from a set in order.

    It is ten, or less so as to leave five blocks.
    """
    return max(1, min(10, frames // 5))


def _blocks(counts: Counts, block: Blocks) -> Counts:
    """Sum the counts of what is drawn together: (runs, frames, C, C) to (runs, blocks, C, C).

    Of neighbors, the last block may be shorter: with 5 frames and blocks of 2 it holds the fifth
    alone. The blocks 7, 7, 3, 7 make two, of frame 2 and of the other three.
    """
    if isinstance(block, int):
        return np.add.reduceat(counts, np.arange(0, counts.shape[1], block), axis=1)
    if len(block) != counts.shape[1]:
        raise ValueError(f"{len(block)} block numbers for {counts.shape[1]} frames")
    order = np.argsort(block, kind="stable")
    starts = np.unique(np.asarray(block)[order], return_index=True)[1]
    return np.add.reduceat(counts[:, order], starts, axis=1)


def _resampled(frames: int, draws: int, seed: int) -> NDArray[np.int64]:
    """(draws, frames): how often each frame is in a set drawn with replacement."""
    return np.random.default_rng(seed).multinomial(frames, np.full(frames, 1 / frames), size=draws)


def frames_needed(gain: MiouGain, frames: int, difference: float) -> int:
    """About how many frames like these it takes to tell two models that differ so much apart.

    The interval shrinks with the root of their number. With frames enough, four sets of five show a
    difference of that size outside of chance: for example, an interval of -4 to +6 on 20 frames has
    a standard error of 2.55, so 2 points need 20 (2.80 * 2.55 / 2)^2 = 255 frames.

    Args:
        gain: A difference with its interval over `frames` frames.
        frames: The number of frames that it was measured on.
        difference: In mIoU points, whatever its sign; not 0.
    """
    error = (gain.high - gain.low) / (2 * POINT)
    return max(2, math.ceil(frames * (POWER_POINT * error / difference) ** 2))
