"""A step's frames as the page shows them: pictures, masks, and what they are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.image_codec import encode_jpeg
from edgeseg.labelling.drafts.mask_runs import encode_text

if TYPE_CHECKING:
    from edgeseg.training.inspection import StepInspector

MOST_CELLS = 16  # of a group
QUALITY = 88
Content = dict[str, Any]  # Any: what JSON can hold
Bytes = NDArray[np.uint8]


def batch_content(inspector: StepInspector, name_of: Callable[[str], str], step: int) -> Content:
    """Return the groups of frames of a step.

    Args:
        inspector: The training.
        name_of: Gives the name of the frame of an id.
        step: Counted from 0; -1 for the one that is worth most to look at.

    Raises:
        DataError: There is no such step, or a frame cannot be read.
    """
    reading = inspector.read(inspector.default_step if step < 0 else step)

    def group(
        title: str, text: str, images: Bytes, masks: Bytes | None, ids: Sequence[str] = ()
    ) -> Content:
        shown = min(len(images), MOST_CELLS)
        if shown < len(images):
            text += f" The first {shown} of {len(images)}."
        cells = [
            _cell(images[place], None if masks is None else masks[place]) for place in range(shown)
        ]
        for cell, frame_id in zip(cells, ids):
            cell |= {"frame": frame_id, "name": name_of(frame_id)}
        return {"title": title, "text": text, "cells": cells}

    groups = [
        group(
            "Labelled frames",
            "After random scale, crop and flip, with the labels that are learned. Hatched pixels "
            "are not labelled.",
            reading.labelled_images,
            reading.labelled_masks,
            reading.labelled,
        )
    ]
    if len(reading.unlabelled):
        has_labels = bool((reading.unlabelled_masks != IGNORE).any())
        labels = (
            "With the labels that they were given before the step."
            if has_labels
            else "Without labels; those that the teacher makes of them are below."
        )
        groups.append(
            group(
                "Unlabelled frames",
                f"After random scale, crop and flip. {labels}",
                reading.unlabelled_images,
                reading.unlabelled_masks if has_labels else None,
                reading.unlabelled,
            )
        )
    if reading.seen is not None:
        text = "What the method makes of them on their way to the student: colors, pasted things."
        groups.append(group("Labelled frames, as the student sees them", text, reading.seen, None))
    for number, view in enumerate(reading.views, 1):
        which = f", view {number} of {len(reading.views)}" if len(reading.views) > 1 else ""
        text = "Recolored and mixed with each other, as far as the method does."
        if view.masks is not None:
            text += (
                f" Over them the pseudo-labels that count, {100 * view.counted:.1f} % of the "
                "pixels; hatched ones do not."
            )
        title = f"Unlabelled frames, as the student sees them{which}"
        groups.append(group(title, text, view.images, view.masks))
    return {"step": reading.step, "notes": list(reading.notes), "groups": groups}


def _cell(image: Bytes, mask: Bytes | None) -> Content:
    jpeg = encode_jpeg(np.ascontiguousarray(image), QUALITY)
    return {
        "image": f"data:image/jpeg;base64,{b64encode(jpeg).decode()}",
        "runs": "" if mask is None else encode_text(np.ascontiguousarray(mask)),
        "height": image.shape[0],
        "width": image.shape[1],
        "caption": "",
    }
