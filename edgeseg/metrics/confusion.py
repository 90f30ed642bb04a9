"""Confusion matrices and IoU: counts are summed over the whole set before they are divided.

That is what papers report.
"""

from __future__ import annotations

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


def iou_of_shown(counts: Counts) -> NDArray[np.float64]:
    """`iou` of the classes that the truth shows, in percent; NaN for the others.

    A class that is predicted though no frame shows it has an IoU of 0 by the formula, which says
    nothing about how well it is found. `miou` leaves it out, and so do tables of classes.

    Args:
        counts: (..., C, C) from `confusion`.
    """
    return np.where(counts.sum(-1) > 0, iou(counts), np.nan)


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
