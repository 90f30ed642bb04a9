"""Pictures of val while a training runs: a few fixed frames and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.drawing import paint_entropy, paint_mask
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.imaging.matrix_picture import confusion_picture
from edgeseg.metrics import Counts
from edgeseg.models import Network
from edgeseg.site import Site
from edgeseg.training.model_evaluation import predict
from edgeseg.training.validation import Validation

SHOWN_FRAMES = 4  # of val, evenly spread
PANEL_WIDTH = 256  # pixels of each of the four pictures of a frame, in trackers
MOST_EVALUATIONS = 25  # of a run whose pictures are kept, so that event files stay small
TITLES = ("image", "truth", "prediction", "entropy")


class ValPictures:
    """The pictures that trackers get."""

    def __init__(self, site: Site, validation: Validation, evaluations: int) -> None:
        """Choose the evaluations that have pictures.

        Args:
            site: The site of the val frames.
            validation: The val frames.
            evaluations: How many the whole run has.
        """
        self._site, self._validation = site, validation
        self._every = math.ceil(evaluations / MOST_EVALUATIONS)
        self._places = shown_places(len(validation.frames))

    def of_evaluation(
        self, number: int, network: Network, counts: Counts, device: torch.device, *, is_last: bool
    ) -> dict[str, Image]:
        """Return the pictures of an evaluation by name; none for most of very many.

        Leaves the network in eval mode.

        Args:
            number: Of the evaluation, from 1.
            network: What was evaluated.
            counts: (C, C) of it.
            device: Where it is.
            is_last: Whether it is the last evaluation, which always has pictures.
        """
        if number % self._every and not is_last:
            return {}
        pictures = {"val/confusion": confusion_picture(counts, self._site.config.class_names)}
        for index, place in enumerate(self._places, 1):
            row = val_picture_row(self._site, self._validation, place, network, device)
            pictures[f"val/frame {index}"] = np.concatenate([_small(image) for image in row], 1)
        return pictures


def shown_places(frames: int) -> list[int]:
    """Return the places of frames that are spread over val, its first and last among them."""
    return sorted(set(np.linspace(0, frames - 1, SHOWN_FRAMES).round().astype(int).tolist()))


def val_picture_row(
    site: Site, validation: Validation, place: int, network: Network, device: torch.device
) -> Sequence[Image]:
    """Return a frame as TITLES say, each (H, W, 3) at the network's size.

    Args:
        site: The site of the frame.
        validation: The val frames.
        place: Of the frame among them.
        network: In eval mode.
        device: Where it is.
    """
    image, truth = validation.read(place)
    fit = fit_frame(site.config.data.fit, (truth.shape[0], truth.shape[1]), validation.size)
    small = fit.image(image)
    mask, entropy = predict(network, [small], device)
    # OpenCV takes (width, height).
    entropy_map = np.asarray(cv2.resize(entropy[0].numpy(), validation.size[::-1]), np.float32)
    palette = site.config.palette
    return [
        small,
        paint_mask(fit.mask(truth), palette),
        paint_mask(mask[0].numpy(), palette),
        paint_entropy(entropy_map),
    ]


def _small(image: Image) -> Image:
    """Return a picture at PANEL_WIDTH at most."""
    height, width = image.shape[:2]
    if width <= PANEL_WIDTH:
        return image
    size = PANEL_WIDTH, max(1, round(height * PANEL_WIDTH / width))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
