"""What labelling asks of a model: one frame in, classes and doubts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.frame_fit import FrameFit
from edgeseg.site import Site


@dataclass(frozen=True)
class ModelView:
    """What a model sees in a frame, at the model's own size.

    Attributes:
        mask: (h, w) uint8 class ids.
        entropy: (eh, ew) float32, 0..1, at the logits' stride.
        features: (D,) float32, the encoder's last map averaged over its pixels; None of a bundle,
            whose graph does not give it.
    """

    mask: Mask
    entropy: NDArray[np.float32]
    features: NDArray[np.float32] | None = None


class SiteModel(Protocol):
    """A model of the site, ready to run.

    Attributes:
        name: The model in a person's words, such as "bundles/round-0003 (int8-cpu)".
        digest: Of its weights: models of equal digests predict the same.
    """

    name: str
    digest: str

    def fit(self, image: Image) -> FrameFit:
        """Return how a frame, (H, W, 3) uint8 RGB, lies in the model's input."""

    def view(self, image: Image) -> ModelView:
        """Look at an image of the input's size, (h, w, 3) uint8 RGB."""


def check_classes(site: Site, names: Sequence[str], model: str) -> None:
    """Refuse a model of other classes.

    Raises:
        DataError: It is one.
    """
    if list(names) != list(site.config.class_names):
        raise DataError(
            f"{model} knows other classes than edgeseg.toml lists now; train and export anew"
        )
