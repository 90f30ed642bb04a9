"""Masks to start labelling from: what the best model of the site predicts for a frame."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.opencv import cv2
from edgeseg.labelling.frame_images import read_frame_image
from edgeseg.labelling.site_models import SiteModel, open_best_model
from edgeseg.progress import ProgressReporter
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
    """The predictions of the best model that a site has; none without any.

    The model is opened when the first frame is asked for and kept until `close`; several threads
    may ask.
    """

    def __init__(self, site: Site, report: ProgressReporter | None = None) -> None:
        """Open nothing yet.

        Args:
            site: The site.
            report: Told of models that cannot be used, with the reason.
        """
        self._site, self._report = site, report
        self._stack, self._lock = ExitStack(), Lock()
        self._model: SiteModel | None = None
        self._is_open = False

    def of(self, frame: Frame) -> StartingMask | None:
        """Return what the model predicts for a frame; None where the site has no model.

        Raises:
            DataError: The frame's image is missing or damaged.
        """
        with self._lock:
            if not self._is_open:
                opened = open_best_model(self._site, self._report)
                self._model, self._is_open = self._stack.enter_context(opened), True
            return None if self._model is None else _predict(self._model, self._site, frame)

    def close(self) -> None:
        """Let the model go; the next frame opens the one that is best by then."""
        with self._lock:
            self._stack.close()
            self._model, self._is_open = None, False


def _predict(model: SiteModel, site: Site, frame: Frame) -> StartingMask:
    image = read_frame_image(site, frame)
    fit = model.fit(image)
    view = model.view(fit.image(image))
    size = image.shape[1], image.shape[0]
    entropy = fit.restore_map(view.entropy)
    full_size = cv2.resize(entropy, size, interpolation=cv2.INTER_LINEAR)
    return StartingMask(fit.frame_mask(view.mask), full_size.clip(0, 1), model.name)
