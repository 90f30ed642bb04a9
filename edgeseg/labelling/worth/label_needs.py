"""What the site still lacks in labels, told to whoever is labelling."""

from __future__ import annotations

import numpy as np

from edgeseg.data.class_pixels import frame_class_pixels
from edgeseg.data.site_needs import ClassPixels, label_warnings
from edgeseg.errors import DataError
from edgeseg.site import HELD_OUT, Site, Split


def needs(site: Site) -> tuple[str, ...]:
    """Return sentences on the labels that training, val and gate still lack, each with what to do.

    Raises:
        DataError: The index is damaged; damaged masks count as not labelled.
    """
    splits: tuple[Split, ...] = ("labelled", *HELD_OUT)
    pixels: ClassPixels = {split: np.zeros(len(site.config.classes), np.int64) for split in splits}
    frames = {split: site.frames(split) for split in splits}
    for split in splits:
        for frame in frames[split]:
            try:
                pixels[split][:] += frame_class_pixels(site, frame)
            except DataError:
                continue  # `edgeseg status` names it
    numbers = {split: len(frames[split]) for split in splits}
    return tuple(label_warnings(pixels, numbers, site.config.class_names))
