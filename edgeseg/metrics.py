"""Segmentation figures in numpy: one implementation for site model, edge model, INT8 file and
device.

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
        predicted: the same shape, class ids below `classes`.

    Returns:
        (C, C) int64, rows are the truth.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth {truth.shape} and prediction {predicted.shape} differ in shape")
    kept = truth != IGNORE
    pairs = truth[kept].astype(np.int64) * classes + predicted[kept]
    if pairs.size and (pairs.max() >= classes * classes or int(predicted[kept].max()) >= classes):
        raise ValueError(f"class ids must lie below {classes}")
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def iou(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union of each class, in percent; NaN for a class in neither truth nor
    prediction.

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


def pixel_agreement(one: Mask, other: Mask) -> float:
    """Share of pixels with the same class, in percent."""
    return 100.0 * float(np.mean(one == other))


@dataclass(frozen=True)
class MiouGain:
    """A difference in mIoU points with its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_bootstrap(
    challenger: Counts, champion: Counts, *, draws: int = 2000, block: int = 1, seed: int = 0
) -> MiouGain:
    """How much better the challenger is, with the frames it was measured on as the source of
    chance.

    Args:
        challenger, champion: (frames, C, C) counts of the same frames in the same order.
        block: neighboring frames drawn together; above 1 for dense video, whose frames are
            near-copies.

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
    """How much better the runs of one method are on average, with the frames as the source of
    chance.

    Args:
        challenger, champion: (runs, frames, C, C) counts of the same frames in the same order.
        block: as in `paired_bootstrap`.

    Returns:
        the difference of the mean mIoU over runs, with its 95 % interval over resampled sets of
        frames.
    """
    challenger, champion = _blocks(challenger, block), _blocks(champion, block)
    weights = _resampled(challenger.shape[1], draws, seed)
    means = [
        np.mean([miou_of_each(np.tensordot(weights, run, 1)) for run in runs], 0)
        for runs in (challenger, champion)
    ]
    whole = [float(np.mean([miou(run.sum(0)) for run in runs])) for runs in (challenger, champion)]
    low, high = np.nanquantile(means[0] - means[1], [0.025, 0.975])
    return MiouGain(whole[0] - whole[1], float(low), float(high))


def iou_margins(
    counts: Counts, *, draws: int = 1000, block: int = 1, seed: int = 0
) -> NDArray[np.float64]:
    """How far the mean IoU of each class over runs may be off by chance of the frames it was
    measured on.

    Args:
        counts: (runs, frames, C, C) of the same frames in order.
        block: as in `paired_bootstrap`.

    Returns:
        (C,) half the width of the 95 % interval over resampled sets of frames; NaN for a class that
        is nowhere.
    """
    counts = _blocks(counts, block)
    weights = _resampled(counts.shape[1], draws, seed)
    drawn = np.mean([iou(np.tensordot(weights, run, 1)) for run in counts], 0)
    found = np.full(drawn.shape[1], np.nan)
    for name in np.flatnonzero(np.isfinite(drawn).any(0)):
        low, high = np.nanquantile(drawn[:, name], [0.025, 0.975])
        found[name] = (high - low) / 2
    return found


def block_length(frames: int) -> int:
    """How many neighbors to draw together from a set in order: ten, or fewer so as to leave five
    blocks.
    """
    return max(1, min(10, frames // 5))


def _blocks(counts: Counts, block: int) -> Counts:
    """(runs, frames, C, C) -> (runs, blocks, C, C), each block the sum of its frames; the last may
    be shorter.
    """
    return np.add.reduceat(counts, np.arange(0, counts.shape[1], block), axis=1)


def _resampled(frames: int, draws: int, seed: int) -> NDArray[np.int64]:
    """(draws, frames): how often each frame is in a set drawn with replacement."""
    return np.random.default_rng(seed).multinomial(frames, np.full(frames, 1 / frames), size=draws)


def near_boundary(mask: Mask, width: int = 2) -> NDArray[np.bool_]:
    """(H, W) whether another class lies within `width` pixels to the side, above, below or
    diagonally.

    Args:
        mask: (H, W) class ids.
    """
    near = np.zeros(mask.shape, bool)
    down, right = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    near[1:] |= down
    near[:-1] |= down
    near[:, 1:] |= right
    near[:, :-1] |= right
    for _ in range(width - 1):
        grown = near.copy()
        grown[1:] |= near[:-1]
        grown[:-1] |= near[1:]
        near = grown.copy()
        near[:, 1:] |= grown[:, :-1]
        near[:, :-1] |= grown[:, 1:]
    return near


def expected_calibration_error(logits: NDArray[np.float32], labels: Mask, bins: int = 15) -> float:
    """How far confidence and accuracy are apart, over bins of equal confidence (Guo et al., 2017,
    equation 3).

    Args:
        logits: (M, C).
        labels: (M,) class ids.

    Returns:
        0 to 1; 0 for no pixel.
    """
    if not len(labels):
        return 0.0
    weights = np.exp(logits - logits.max(1, keepdims=True))
    confidence = weights.max(1) / weights.sum(1)
    right = logits.argmax(1) == labels
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, confidence, bins) - np.bincount(place, right.astype(np.float64), bins)
    return float(np.abs(gaps).sum() / len(labels))
