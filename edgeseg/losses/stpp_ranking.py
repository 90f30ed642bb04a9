"""ST++'s ranking of unlabelled frames by their stability (Yang et al., CVPR 2022); no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.metrics import confusion_matrix, iou


def stability(masks: Sequence[NDArray[np.uint8]], classes: int) -> float:
    """Stability s_i = sum_{j < K} mIoU(M_ij, M_iK) of a frame over K checkpoints.

    A class that neither of two masks has is left out of their mean; the paper ranks by this sum,
    its code by the mean.

    Args:
        masks: (H, W) class ids of one frame from K checkpoints, oldest first; 255 in the last one
            is left out.

    Returns:
        0..K - 1; as large as that also for a frame that shows a single class all the time, so limit
        the share of those.

    Raises:
        ValueError: there are fewer than two masks.
    """
    if len(masks) < 2:
        raise ValueError(
            f"stability compares checkpoints, so it needs the masks of 2 or more, not {len(masks)}"
        )
    last = masks[-1]
    total = 0.0
    for mask in masks[:-1]:
        class_iou = iou(
            confusion_matrix(last, mask, classes)
        )  # in percent, NaN where absent from both
        present = ~np.isnan(class_iou)
        total += float(class_iou[present].mean()) / 100 if present.any() else 0.0
    return total
