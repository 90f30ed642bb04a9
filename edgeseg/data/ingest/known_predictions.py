"""Predictions that went out to be corrected: what comes back unchanged is no label.

`edgeseg log export` keeps each predicted mask that it writes, as it reads after it was written, in
a folder `predictions`: beside the export, and in the site where there is one. A prediction that
comes back the same is still a prediction; learning from it, or judging by it, would take the
model's word for the truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.mask_png import read_mask
from edgeseg.imaging.opencv import cv2
from edgeseg.runtime.framelog.record_export import PREDICTIONS
from edgeseg.site import Site

MOST_REDRAWN = 0.001  # of the pixels: what a tool changes that turns shapes into masks
DAMAGED = "is damaged; delete it, and what was predicted there counts as labelled by a person"


class KnownPredictions:
    """Predicted masks by the name of their image."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Look into `predictions` of some folders, the first that has a name counts."""
        kept = [folder / PREDICTIONS for folder in folders]
        self._folders = [folder for folder in kept if folder.is_dir()]

    def is_untouched(self, name: str, mask: Mask, *, exact: bool = True) -> bool:
        """Return whether a mask is the prediction that was exported under this name.

        Args:
            name: Of the image, without suffix.
            mask: (H, W) class ids.
            exact: Masks come back pixel by pixel. Otherwise a tool may have drawn shapes anew: what
                differs along the borders of the prediction alone, one pixel wide and by no more
                than a thousandth of all, is no change.

        Raises:
            DataError: The prediction is damaged.
        """
        path = next(
            (path for folder in self._folders if (path := folder / f"{name}.png").is_file()), None
        )
        if path is None:
            return False
        return is_same_mask(read_mask(path, fault=DAMAGED), mask, exact=exact)


def is_same_mask(before: Mask, after: Mask, *, exact: bool) -> bool:
    """Return whether nobody changed a mask, (H, W), while it was away.

    Args:
        exact: See `KnownPredictions.is_untouched`.
    """
    if before.shape != after.shape:
        return False
    differs = before != after
    if exact or not differs.any():
        return not differs.any()
    box = np.ones((3, 3), np.uint8)
    is_border = cv2.dilate(before, box) != cv2.erode(before, box)
    return bool(differs.mean() <= MOST_REDRAWN and not (differs & ~is_border).any())


def known_folders(site: Site, *exports: Path) -> list[Path]:
    """Return where predictions may be kept: the site, exports, and the folders that hold them."""
    return [site.root, *exports, *(path.parent for path in exports)]
