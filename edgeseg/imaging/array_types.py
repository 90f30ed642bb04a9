"""The arrays that stand for images and masks, and the class id that marks an unlabelled pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Mask = NDArray[np.uint8]  # (H, W) class ids, IGNORE where nothing is labelled
Palette = Sequence[tuple[int, int, int]]  # RGB of each class, by class id
IGNORE = 255  # the class id of pixels that are not labelled: neither trained on nor counted
