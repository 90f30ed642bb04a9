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
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.mask_png import read_mask
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
            exact: Masks come back pixel by pixel. Otherwise a tool may have drawn shapes anew: if
                a border moved by one pixel, and no more than a thousandth of all pixels differs,
                that is no change. What was added or taken away is one, however thin.

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
    if differs.mean() > MOST_REDRAWN:
        return False
    pixels = np.nonzero(differs)
    return _lie_near(after[pixels], before, pixels) and _lie_near(before[pixels], after, pixels)


def _lie_near(ids: Mask, mask: Mask, pixels: tuple[NDArray[np.intp], ...]) -> bool:
    """Return whether each pixel has its id, (N,), in the 3x3 neighborhood of it in a mask.

    A border that moves by one pixel gives a pixel the id of its neighbor, and leaves it a neighbor
    of the id that it had. What is new lay nowhere near before; what is gone lies nowhere near now.
    """
    rows, columns = pixels
    found = np.zeros(len(ids), bool)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            row = np.clip(rows + down, 0, mask.shape[0] - 1)
            column = np.clip(columns + right, 0, mask.shape[1] - 1)
            found |= mask[row, column] == ids
    return bool(found.all())


def known_folders(site: Site, *exports: Path) -> list[Path]:
    """Return where predictions may be kept: the site, exports, and the folders that hold them."""
    return [site.root, *exports, *(path.parent for path in exports)]
