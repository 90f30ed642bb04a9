"""Masks that an export holds as pictures: what their values or colors stand for, by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.ingest.masks.raw_mask import RawMask
from edgeseg.data.label_formats.class_names import ClassNames
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.decoding.picture_file import load_picture, open_picture

GRAY = 0x010101  # a color whose parts are equal is a multiple of it


def mask_by_index(raw: RawMask) -> Mask:
    """Return the ids of a mask file: gray values, palette indices, or the gray of equal colors.

    Raises:
        ValueError: It has colors.
    """
    if raw.ids is not None:
        return raw.ids
    assert raw.colors is not None
    if (raw.colors % GRAY).any():
        raise ValueError("has colors where ids are expected")
    return (raw.colors // GRAY).astype(np.uint8)


def mask_by_name(
    values: NDArray[np.integer], names: Mapping[int, str], classes: ClassNames, what: str
) -> Mask:
    """Return the classes of a mask whose values have names.

    Args:
        values: (H, W) of ids or colors.
        names: What each stands for; "ignore" for not labelled.
        classes: Knows what they are in the site.
        what: Format of a value in messages: "id {}" or "color #{:06x}".

    Raises:
        ValueError: It has a value without a name.
    """
    used, inverse = np.unique(values, return_inverse=True)
    unnamed = [int(value) for value in used if int(value) not in names]
    if unnamed:
        more = f" and {len(unnamed) - 5} more" if len(unnamed) > 5 else ""
        listed = ", ".join(what.format(value) for value in unnamed[:5])
        raise ValueError(f"has {listed}{more}, which its list of classes does not name")
    table = np.array([classes.id_of(names[int(value)]) for value in used], np.uint8)
    mask = table[inverse.reshape(values.shape)]
    classes.pixels += mask.size
    return np.asarray(mask, np.uint8)


def bitmap_of_png(data: bytes) -> NDArray[np.bool_]:
    """Return where a small PNG, as tools put into JSON, is set: (h, w).

    With an alpha channel that is where it is not transparent, else where it is not black.

    Raises:
        ValueError: It is none, or too large.
    """
    image = open_picture(data, ("PNG",))
    load_picture(image, data)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels > 0
    if image.mode in ("RGBA", "LA"):
        alpha = pixels[..., -1] > 0
        colored = (pixels[..., :-1] > 0).any(2)
        return np.asarray(alpha & colored if (pixels[..., -1] == IGNORE).all() else alpha)
    return np.asarray((pixels > 0).any(2))
