"""Frames of the site at the graph's size, read when they are asked for: val and calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edgeseg.config import FitMode
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.export.evaluation.figures import EvaluationResult
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.frame_fit import FrameFit, fit_frame
from edgeseg.metrics import confusion_matrix
from edgeseg.progress import ProgressReporter
from edgeseg.site import Frame, Site

Entropy = NDArray[np.float32]


@dataclass(frozen=True)
class ValFrames:
    """The val frames, read anew for each model: only what is small is kept.

    Attributes:
        site: Where they are.
        frames: The frames of the val split.
        size: (height, width) of the graph.
        fit: How frames of another shape come to that size.
    """

    site: Site
    frames: list[Frame]
    size: tuple[int, int]
    fit: FitMode = "stretch"

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.site.config.classes)

    def images_and_masks(self) -> Iterable[tuple[Image, Mask]]:
        """Yield each image, (H, W, 3) RGB at the graph's size, and its true mask at its own."""
        for frame in self.frames:
            image, truth = read_site_frame(self.site, frame)
            assert truth is not None, f"{frame.id} is a val frame without a mask"
            yield self.fit_of(truth).image(image), truth

    def image(self, index: int) -> Image:
        """Return the image of one frame, (H, W, 3) RGB at the graph's size."""
        image = read_site_frame(self.site, self.frames[index])[0]
        return self.fit_of(image).image(image)

    def shown_image(self, index: int) -> Image:
        """Return `image` without padding, as `EvaluationResult` has its masks."""
        image = read_site_frame(self.site, self.frames[index])[0]
        fit = self.fit_of(image)
        return fit.image(image)[fit.inside.slices]

    def fit_of(self, image_or_mask: NDArray[np.uint8]) -> FrameFit:
        """Return how a frame, given by its image or its mask, lies in the graph's input."""
        height, width = image_or_mask.shape[:2]
        return fit_frame(self.fit, (height, width), self.size)

    def evaluate(
        self,
        predict: Callable[[Image, Mask], tuple[Mask, Entropy | None]],
        report: ProgressReporter,
    ) -> EvaluationResult:
        """Evaluate a model on every frame.

        Args:
            predict: Takes an image and, for what is fitted, the true mask; returns mask and
                entropy.
            report: Advances by one for each frame.
        """
        counts, masks, entropies = [], [], []
        for image, truth in self.images_and_masks():
            mask, entropy = predict(image, truth)
            fit = self.fit_of(truth)
            counts.append(confusion_matrix(*fit.seen_pair(truth, mask), self.classes))
            masks.append(mask[fit.inside.slices])
            if entropy is not None:
                entropies.append(fit.inside_map(entropy))
            report.advance()
        return EvaluationResult(np.stack(counts), masks, entropies)


@dataclass(frozen=True)
class CalibrationImages(Sequence[Image]):
    """Images of frames, (H, W, 3) RGB each, read when they are asked for.

    Attributes:
        site: Where they are.
        frames: The frames.
        size: (height, width) of the graph.
        fit: How frames of another shape come to that size.
    """

    site: Site
    frames: list[Frame]
    size: tuple[int, int]
    fit: FitMode = "stretch"

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        indices = range(len(self))[index]
        if isinstance(indices, range):
            return [self[number] for number in indices]
        image = read_site_frame(self.site, self.frames[indices])[0]
        return fit_frame(self.fit, (image.shape[0], image.shape[1]), self.size).image(image)
