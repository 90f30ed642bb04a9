"""Measures the demo's models on frames whose truth is known, which a real site never has this many
of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.resize import resize_image, resize_mask
from edgeseg.metrics import Counts, confusion_matrix, iou, miou
from edgeseg.runtime.backends.base import Runner

Entropy = NDArray[np.float32]
Segmenter = Callable[[Image], tuple[Image, Entropy]]
TIMED = 40
SEASONS = ("summer", "autumn")


@dataclass(frozen=True)
class SeasonMetrics:
    """What a model does on one season's test frames; mIoU and IoU in percent.

    Attributes:
        fps: frames a second, resize and all, one at a time.
    """

    miou: float
    per_class: tuple[float, ...]
    fps: float


def read_test_frames(folder: Path, season: str) -> Iterator[tuple[Image, Image]]:
    """Frames (H, W, 3) RGB with their masks (H, W), by name."""
    for path in sorted((folder / "truth" / season / "images").glob("*.jpg")):
        image = cv2.imread(str(path))
        mask = cv2.imread(
            str(folder / "truth" / season / "masks" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE
        )
        assert image is not None and mask is not None, f"{path} was made by this program"
        yield np.ascontiguousarray(image[..., ::-1]).astype(np.uint8), mask.astype(np.uint8)


def torch_model(run: Path) -> Segmenter:
    """The best weights of a run as a function from a frame to its mask, at the frame's size, and
    its entropy.
    """
    from edgeseg.models.model_files import load_model  # noqa: PLC0415
    from edgeseg.training.model_evaluation import predict  # noqa: PLC0415  # torch, only where a run is measured

    model = load_model(run)
    size = model.card.height, model.card.width

    def answer(image: Image) -> tuple[Image, Entropy]:
        masks, entropies = predict(model.module, [resize_image(image, size)])
        return resize_mask(masks[0].numpy(), (image.shape[0], image.shape[1])), entropies[0].numpy()

    return answer


def bundle_model(run: Runner) -> Segmenter:
    """An open bundle as the same kind of function."""
    size = run.bundle.manifest.height, run.bundle.manifest.width

    def answer(image: Image) -> tuple[Image, Entropy]:
        prediction = run(resize_image(image, size)[None])
        return resize_mask(
            prediction.mask[0], (image.shape[0], image.shape[1])
        ), prediction.entropy[0]

    return answer


def measure_season(model: Segmenter, folder: Path, season: str, classes: int) -> SeasonMetrics:
    """One confusion matrix over the season's test frames, and the median time of a frame."""
    counts: Counts = np.zeros((classes, classes), np.int64)
    seconds: list[float] = []
    for image, mask in read_test_frames(folder, season):
        began = time.perf_counter()
        found, _ = model(image)
        seconds.append(time.perf_counter() - began)
        counts += confusion_matrix(mask, found, classes)
    per_class = tuple(round(float(value), 2) for value in iou(counts))
    return SeasonMetrics(round(miou(counts), 2), per_class, round(1 / float(np.median(seconds)), 1))
