"""What the galleries of reports share: which frames are shown, and a prediction as a picture with
its mIoU.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.config import ClassSpec
from edgeseg.imaging.array_types import Image, Mask, Palette
from edgeseg.imaging.drawing import paint_mask
from edgeseg.metrics import confusion_matrix, miou

Cell = tuple[Image, str]  # a picture and its caption


def evenly_spaced(number: int, shown: int) -> list[int]:
    """Return `shown` of `number` places, evenly spaced and without the ends; fewer of few.

    For example, 4 of 11 are 2, 4, 6 and 8.
    """
    places = np.linspace(0, number - 1, shown + 2)[1:-1].round().astype(int)
    return [int(place) for place in np.unique(places)]


def class_legend(classes: Sequence[ClassSpec]) -> list[tuple[str, str]]:
    """Return the names of classes with their colors, for `HtmlReport.legend`."""
    return [(spec.name, spec.color) for spec in classes]


def prediction_cell(truth: Mask, predicted: Mask, palette: Palette, prefix: str = "") -> Cell:
    """Return a predicted mask as a picture; its caption is `prefix` and the mIoU on this frame.

    Args:
        truth: (H, W) class ids.
        predicted: (H, W) class ids.
        palette: The color of each class.
        prefix: What stands before the figure.
    """
    figure = miou(confusion_matrix(truth, predicted, len(palette)))
    return paint_mask(predicted, palette), f"{prefix}{figure:.1f}"
