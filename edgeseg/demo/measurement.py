"""The measurement of the demo's models on frames whose truth is known, of which a real site never
has this many.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle import Flavour
from edgeseg.bundle.flavours import FP32, INT8_CPU
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.imaging.image_codec import read_image
from edgeseg.imaging.mask_png import read_mask
from edgeseg.imaging.resize import resize_mask
from edgeseg.metrics import Counts, confusion_matrix, iou_of_shown, miou
from edgeseg.runtime.backends.base import Runner
from edgeseg.runtime.backends.frame_prediction import predict_frame

Entropy = NDArray[np.float32]  # (h, w) at the stride of the logits
Segmenter = Callable[[Image], tuple[Mask, Entropy]]  # the mask at the frame's size
SEASONS = ("summer", "autumn")
# The files of a bundle that are measured, the one that ships last.
BUNDLE_MODELS: tuple[tuple[str, Flavour], ...] = (("edge model", FP32), ("INT8", INT8_CPU))


@dataclass(frozen=True)
class SeasonMetrics:
    """The figures of a model on one season's test frames, under the keys of `demo.json`.

    Attributes:
        miou: Mean IoU in percent.
        per_class: IoU in percent by class; None for one that the season does not show.
        fps: Frames a second, one at a time, resizing included.
    """

    miou: float
    per_class: tuple[float | None, ...]
    fps: float


def read_test_frames(folder: Path, season: str) -> Iterator[tuple[Image, Mask]]:
    """Yield frames (H, W, 3) RGB with their masks (H, W), by name."""
    truth = folder / "truth" / season
    for path in sorted((truth / "images").glob("*.jpg")):
        image = read_image(path)
        assert image is not None, f"{path} was made by this program"
        yield image, read_mask(truth / "masks" / f"{path.stem}.png")


def model_segmenter(run: Path) -> Segmenter:
    """Return the best weights of a run as a function from a frame to mask and entropy."""
    from edgeseg.models.model_files import load_model  # noqa: PLC0415  # torch, only where needed
    from edgeseg.training.model_evaluation import predict  # noqa: PLC0415

    model = load_model(run)
    card = model.card

    def segment(image: Image) -> tuple[Mask, Entropy]:
        size = image.shape[0], image.shape[1]
        fit = fit_frame(card.fit, size, (card.height, card.width))
        masks, entropies = predict(model.module, [fit.image(image)])
        return fit.frame_mask(masks[0].numpy()), fit.restore_map(entropies[0].numpy())

    return segment


def bundle_segmenter(runner: Runner) -> Segmenter:
    """Return an open bundle as the same kind of function."""

    def segment(image: Image) -> tuple[Mask, Entropy]:
        prediction = predict_frame(runner, image)
        mask = resize_mask(prediction.mask[0], (image.shape[0], image.shape[1]))
        return mask, prediction.entropy[0]

    return segment


def measure_season(model: Segmenter, folder: Path, season: str, classes: int) -> SeasonMetrics:
    """Sum one confusion matrix over the season's test frames, and take the median time of a
    frame.
    """
    counts: Counts = np.zeros((classes, classes), np.int64)
    seconds: list[float] = []
    for image, mask in read_test_frames(folder, season):
        began = time.perf_counter()
        predicted, _ = model(image)
        seconds.append(time.perf_counter() - began)
        counts += confusion_matrix(mask, predicted, classes)
    per_class = tuple(
        None if np.isnan(value) else round(float(value), 2) for value in iou_of_shown(counts)
    )
    fps = round(1 / float(np.median(seconds)), 1)
    return SeasonMetrics(round(miou(counts), 2), per_class, fps)
