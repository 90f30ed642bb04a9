"""Which unlabelled frames a training run has settled on (ST++, Yang et al., CVPR 2022; methods.md
2.2); no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.metrics import confusion_matrix, iou


def stability(masks: Sequence[NDArray[np.uint8]], classes: int) -> float:
    """Sum over the earlier checkpoints of the mIoU of their mask with the last one's.

    A class that neither of two masks has is left out of their mean; the paper ranks by this sum,
    its code by the mean.

    Args:
        masks: (H, W) class ids of one frame from K checkpoints, oldest first; 255 in the last one
            is left out.

    Returns:
        0..K - 1; as large as that also for a frame that shows a single class all the time, so limit
        the share of those.
    """
    if len(masks) < 2:
        raise ValueError(
            f"stability compares checkpoints, so it needs the masks of 2 or more, not {len(masks)}"
        )
    last = masks[-1]
    total = 0.0
    for mask in masks[:-1]:
        shares = iou(confusion_matrix(last, mask, classes))
        present = ~np.isnan(shares)
        total += float(shares[present].mean()) / 100 if present.any() else 0.0
    return total
