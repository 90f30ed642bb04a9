"""Segmentation metrics in numpy, the same for site model, edge model, INT8 file and device.

Counts are summed over the whole set before they are divided (one confusion matrix), which is what
papers report.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import IGNORE, Mask

Counts = NDArray[np.int64]


def confusion_matrix(truth: Mask, predicted: Mask, classes: int) -> Counts:
    """Count pixels by (true class, predicted class), leaving out truth == 255.

    Args:
        truth: (..., H, W) uint8 class ids, 255 = ignore.
        predicted: The same shape, class ids below `classes`.
        classes: Their number C.

    Returns:
        (C, C) int64, rows are the truth.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth {truth.shape} and prediction {predicted.shape} differ in shape")
    labelled = truth != IGNORE
    # Truth t and prediction p become the cell t C + p of the flattened matrix.
    cells = truth[labelled].astype(np.int64) * classes + predicted[labelled]
    if cells.size:
        too_high = cells.max() >= classes * classes or int(predicted[labelled].max()) >= classes
        if too_high:
            raise ValueError(f"class ids must lie below {classes}")
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def iou(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union of each class, in percent.

    It is NaN for a class in neither truth nor prediction.

    Args:
        counts: (..., C, C) from `confusion`.
    """
    hit = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    union = counts.sum(-1) + counts.sum(-2) - hit
    result = np.full(hit.shape, np.nan)
    np.divide(100.0 * hit, union, out=result, where=union > 0)
    return result


def miou(counts: Counts) -> float:
    """Mean of `iou` over the classes that occur in the truth; NaN if none does."""
    return float(miou_of_each(counts[None])[0])


def miou_of_each(counts: Counts) -> NDArray[np.float64]:
    """`miou` of many matrices at once: (K, C, C) -> (K,)."""
    values = iou(counts)
    present = counts.sum(-1) > 0
    number = present.sum(-1)
    total = np.where(present, np.nan_to_num(values), 0.0).sum(-1)
    result = np.full(number.shape, np.nan)
    np.divide(total, number, out=result, where=number > 0)
    return result


def pixel_agreement(first: Mask, second: Mask) -> float:
    """Share of pixels with the same class in two masks, in percent."""
    return 100.0 * float(np.mean(first == second))


@dataclass(frozen=True)
class MiouGain:
    """A difference in mIoU points with its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    challenger: Counts, champion: Counts, *, draws: int = 2000, block: int = 1, seed: int = 0
) -> MiouGain:
    """The gain of the challenger over the champion, with a bootstrap interval over frames.

    Args:
        challenger, champion: (frames, C, C) counts of the same frames in the same order.
        draws: Number of resampled sets of frames.
        block: Neighboring frames drawn together; above 1 for dense video, whose frames are
            near-copies.
        seed: Of the draws.

    Returns:
        mIoU(challenger) - mIoU(champion) with the 2.5 % and 97.5 % quantiles over resampled sets of
        frames.
    """
    if challenger.shape != champion.shape or not len(champion):
        raise ValueError("both need the counts of the same frames, at least one")
    return mean_gain_interval(challenger[None], champion[None], draws=draws, block=block, seed=seed)


def mean_gain_interval(
    challenger: Counts, champion: Counts, *, draws: int = 2000, block: int = 1, seed: int = 0
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
    low, high = np.nanquantile(resampled_gain, [0.025, 0.975])
    gain = _mean_miou(challenger) - _mean_miou(champion)
    return MiouGain(gain, float(low), float(high))


def _resampled_mious(counts: Counts, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """(draws,) mean mIoU over runs of every resampled set, from (runs, blocks, C, C) counts and
    (draws, blocks) weights.
    """
    return np.asarray(np.mean([miou_of_each(np.tensordot(weights, run, 1)) for run in counts], 0))


def _mean_miou(counts: Counts) -> float:
    """Mean mIoU over runs of (runs, blocks, C, C) counts."""
    return float(np.mean([miou(run.sum(0)) for run in counts]))


def iou_margins(
    counts: Counts, *, draws: int = 1000, block: int = 1, seed: int = 0
) -> NDArray[np.float64]:
    """The uncertainty of each class's mean IoU that comes from the choice of the frames.

    Args:
        counts: (runs, frames, C, C) of the same frames in order.
        draws, block, seed: As in `paired_bootstrap`.

    Returns:
        (C,) half the width of the 95 % interval over resampled sets of frames; NaN for a class that
        is nowhere.
    """
    counts = _blocks(counts, block)
    weights = _resampled(counts.shape[1], draws, seed)
    drawn = np.mean([iou(np.tensordot(weights, run, 1)) for run in counts], 0)
    margins = np.full(drawn.shape[1], np.nan)
    for index in np.flatnonzero(np.isfinite(drawn).any(0)):
        low, high = np.nanquantile(drawn[:, index], [0.025, 0.975])
        margins[index] = (high - low) / 2
    return margins


def block_length(frames: int) -> int:
    """The number of neighboring frames to draw together from a set in order.

    It is ten, or less so as to leave five blocks.
    """
    return max(1, min(10, frames // 5))


def _blocks(counts: Counts, block: int) -> Counts:
    """Sum the counts of neighboring frames: (runs, frames, C, C) to (runs, blocks, C, C).

    The last block may be shorter. With 5 frames and blocks of 2 it holds the fifth alone.
    """
    return np.add.reduceat(counts, np.arange(0, counts.shape[1], block), axis=1)


def _resampled(frames: int, draws: int, seed: int) -> NDArray[np.int64]:
    """(draws, frames): how often each frame is in a set drawn with replacement."""
    return np.random.default_rng(seed).multinomial(frames, np.full(frames, 1 / frames), size=draws)


def near_boundary(mask: Mask, width: int = 2) -> NDArray[np.bool_]:
    """The pixels (H, W) with another class at most `width` pixels away in any direction.

    Directions are to the side, above, below and diagonal.

    Args:
        mask: (H, W) class ids.
    """
    near = np.zeros(mask.shape, bool)
    differs_below, differs_right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    near[1:] |= differs_below
    near[:-1] |= differs_below
    near[:, 1:] |= differs_right
    near[:, :-1] |= differs_right
    for _ in range(width - 1):  # grow by a pixel: first up and down, then to the sides
        grown = near.copy()
        grown[1:] |= near[:-1]
        grown[:-1] |= near[1:]
        near = grown.copy()
        near[:, 1:] |= grown[:, :-1]
        near[:, :-1] |= grown[:, 1:]
    return near


def expected_calibration_error(logits: NDArray[np.float32], labels: Mask, bins: int = 15) -> float:
    """The gap between confidence and accuracy (Guo et al., 2017, equation 3).

    It is averaged over bins of equal confidence.

    Args:
        logits: (M, C).
        labels: (M,) class ids.

    Returns:
        0 to 1; 0 for no pixel.
    """
    if not len(labels):
        return 0.0
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    confidence = exponentials.max(1) / exponentials.sum(1)
    is_right = (logits.argmax(1) == labels).astype(np.float64)
    bin_index = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    # In a bin of n pixels, n |mean confidence - accuracy| = |sum of confidence - number right|.
    gaps = np.bincount(bin_index, confidence, bins) - np.bincount(bin_index, is_right, bins)
    return float(np.abs(gaps).sum() / len(labels))
