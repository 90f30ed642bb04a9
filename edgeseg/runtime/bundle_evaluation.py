"""How good a bundle is on labelled frames: what is measured is the file that ships, in the engine
that runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.image_codec import read_image
from edgeseg.imaging.mask_png import read_mask as read_mask_png
from edgeseg.imaging.resize import preprocess, resize_mask
from edgeseg.metrics import Counts, confusion_matrix
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.base import Runner


def evaluate_runner(
    run: Runner,
    pairs: Iterable[tuple[Path, Path]],
    classes: int,
    *,
    read_mask: Callable[[Path], Mask] | None = None,
    report: ProgressReporter | None = None,
) -> Counts:
    """Compare predictions with labels at the labels' own size.

    Args:
        pairs: image file and mask file of each frame.
        classes: C.
        read_mask: reads a mask file to (H, W) uint8, 255 = ignore; `edgeseg.imaging.mask_png.read_mask` if left out.
        report: advances by one for each frame.

    Returns:
        (frames, C, C) int64, rows are the truth; sum over the frames before dividing.

    Raises:
        DataError: a file is missing or damaged, image and mask differ in size, or a mask holds a
            class that is none.
    """
    report = report or NullReporter()
    size = run.bundle.manifest.height, run.bundle.manifest.width
    counts: list[Counts] = []
    for image_path, mask_path in pairs:
        image, truth = read_labelled_frame(image_path, mask_path, read_mask or read_mask_png)
        highest = int(truth[truth != IGNORE].max(initial=0))
        if highest >= classes:
            raise DataError(
                f"{mask_path} holds class {highest}, but the classes are 0 to {classes - 1}; correct the mask"
            )
        predicted = resize_mask(
            run(preprocess(image, size)[None]).mask[0], (truth.shape[0], truth.shape[1])
        )
        counts.append(confusion_matrix(truth, predicted, classes))
        report.advance()
    return np.stack(counts) if counts else np.zeros((0, classes, classes), np.int64)


def read_labelled_frame(
    image_path: Path, mask_path: Path, read_mask: Callable[[Path], Mask]
) -> tuple[Image, Mask]:
    """A labelled frame: (H, W, 3) uint8 BGR and (H, W) uint8.

    Raises:
        DataError: a file is missing or damaged, or they differ in size.
    """
    image, truth = read_image(image_path), read_mask(mask_path)
    if image is None:
        raise DataError(
            f"{image_path} is missing, truncated or no picture; restore it or take it out"
        )
    if image.shape[:2] != truth.shape:
        shapes = " and ".join(f"{shape[1]}x{shape[0]}" for shape in (image.shape, truth.shape))
        raise DataError(
            f"{image_path} and {mask_path} differ in size ({shapes}); label the image at its own size"
        )
    return image, truth
