"""Frames of the site at the graph's size, read when they are asked for: val and calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.frame_reader import read_site_frame
from edgeseg.export.evaluation.figures import EvaluationResult
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.resize import resize_image, resize_mask
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
    """

    site: Site
    frames: list[Frame]
    size: tuple[int, int]

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.site.config.classes)

    def images_and_masks(self) -> Iterable[tuple[Image, Mask]]:
        """Yield each image, (H, W, 3) RGB at the graph's size, and its true mask at its own."""
        for frame in self.frames:
            image, truth = read_site_frame(self.site, frame)
            assert truth is not None, f"{frame.id} is a val frame without a mask"
            yield resize_image(image, self.size), truth

    def image(self, index: int) -> Image:
        """Return the image of one frame, (H, W, 3) RGB at the graph's size."""
        return resize_image(read_site_frame(self.site, self.frames[index])[0], self.size)

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
            full_size = resize_mask(mask, (truth.shape[0], truth.shape[1]))
            counts.append(confusion_matrix(truth, full_size, self.classes))
            masks.append(mask)
            if entropy is not None:
                entropies.append(entropy)
            report.advance()
        return EvaluationResult(np.stack(counts), masks, entropies)


@dataclass(frozen=True)
class CalibrationImages(Sequence[Image]):
    """Images of frames, (H, W, 3) RGB each, read when they are asked for.

    Attributes:
        site: Where they are.
        frames: The frames.
        size: (height, width) of the graph.
    """

    site: Site
    frames: list[Frame]
    size: tuple[int, int]

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
        return resize_image(read_site_frame(self.site, self.frames[indices])[0], self.size)
