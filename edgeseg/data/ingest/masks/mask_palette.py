"""Whether a palette file means its indices or its colors.

Labelling tools write class ids as indices, in colors of their own. Image editors, quantizers and
PNG optimizers make palette files of color masks, whose indices come in any order: there the colors
are what the author meant. Index 255 is "not labelled" in the first kind.

With the classes 0 red, 1 green, 2 blue, by the entries that pixels use:

    0 red, 2 blue               index and color agree: ids
    0 blue, 1 red               they disagree: colors
    0 purple, 1 orange          colors of no class: ids
    0 blue, 1 orange            one disagrees, the other is unknown: unclear, refused
    0 red, 255 blue             255 would be class 2, or not labelled: unclear, refused
    0 red, 255 blue and, used   the palette has the classes in their order, so 255 is
    or not, 1 green, 2 blue     "not labelled": ids
    0 red, 1 green, 2 blue,     3 is no id of a class, but has the color of one:
    3 red                       unclear, refused
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import IGNORE

UNKNOWN = -1  # a color of no class
ClassOfIndex = NDArray[np.int64]  # (256,) class of each index by its color, IGNORE, or UNKNOWN


class PaletteMeaning(NamedTuple):
    """What the indices of a palette file mean.

    Attributes:
        kind: "order" if the palette has all classes in their order, "agree" if index and color of
            what is used say the same, "index" if the colors are of no class, "color" if the colors
            count, "unclear" if that cannot be told.
        odd: The index that makes it unclear, else -1.
    """

    kind: Literal["order", "agree", "index", "color", "unclear"]
    odd: int = -1


def palette_meaning(
    used: NDArray[np.int64], class_of_index: ClassOfIndex, classes: int, *, is_ramp: bool
) -> PaletteMeaning:
    """Decide by the palette entries that pixels use.

    Args:
        used: The indices that pixels have, in order.
        class_of_index: The class that each index has by its color.
        classes: Number of classes.
        is_ramp: Every index is its own shade of gray, so its color says nothing about classes.
    """
    judged = used[used != IGNORE]
    by_color = class_of_index[judged]
    known = by_color != UNKNOWN
    differs = known & (by_color != judged)
    is_beyond = judged >= classes
    if np.array_equal(class_of_index[:classes], np.arange(classes)):
        if is_beyond.any() and known.all() and not is_ramp:
            return PaletteMeaning("unclear", int(judged[np.argmax(is_beyond)]))
        return PaletteMeaning("order")
    if not known.all():
        if differs.any() and not is_ramp:
            return PaletteMeaning("unclear", int(judged[np.argmax(differs)]))
        return PaletteMeaning("index")
    if differs.any():
        return PaletteMeaning("color")
    if IGNORE in used and class_of_index[IGNORE] not in (UNKNOWN, IGNORE):
        return PaletteMeaning("unclear", IGNORE)
    return PaletteMeaning("agree")
