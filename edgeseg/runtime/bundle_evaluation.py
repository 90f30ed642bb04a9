"""Confusion matrices of a bundle on labelled frames: mIoU of the file that ships, as it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.decoding.picture_reader import PictureReader
from edgeseg.imaging.mask_png import read_mask as read_mask_png
from edgeseg.metrics import Counts, confusion_matrix
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.runtime.backends.base import Runner
from edgeseg.runtime.backends.frame_prediction import fit_of_frame


def evaluate_runner(
    runner: Runner,
    pairs: Iterable[tuple[Path, Path]],
    classes: int,
    *,
    read_mask: Callable[[Path], Mask] | None = None,
    report: ProgressReporter | None = None,
) -> Counts:
    """Compare predictions with labels at the labels' own size, as far as the graph sees them.

    Args:
        runner: The file and the back end to evaluate.
        pairs: Image file and mask file of each frame.
        classes: Number of classes, C.
        read_mask: Reads a mask file to (H, W) uint8, 255 = ignore;
            `edgeseg.imaging.mask_png.read_mask` if left out.
        report: Advances by one for each frame.

    Returns:
        (frames, C, C) int64, the confusion matrix of each frame; rows are the truth. Sum over the
        frames before dividing: IoU comes from one matrix over all of them.

    Raises:
        DataError: A file is missing or damaged, image and mask differ in size, or a mask holds an
            id beyond the classes.
    """
    report = report or NullReporter()
    images = PictureReader(runner.bundle.manifest.depth_range)
    counts: list[Counts] = []
    for image_path, mask_path in pairs:
        image, truth = read_labelled_frame(
            image_path, mask_path, read_mask or read_mask_png, images
        )
        highest = int(truth[truth != IGNORE].max(initial=0))
        if highest >= classes:
            raise DataError(
                f"{mask_path} holds class {highest}, but the classes are 0 to {classes - 1}; "
                "correct the mask"
            )
        fit = fit_of_frame(runner, image)
        prediction = runner(fit.image(image)[None])
        counts.append(confusion_matrix(*fit.seen_pair(truth, prediction.mask[0]), classes))
        report.advance()
    for note in images.notes():
        report.say(note)
    return np.stack(counts) if counts else np.zeros((0, classes, classes), np.int64)


def read_labelled_frame(
    image_path: Path,
    mask_path: Path,
    read_mask: Callable[[Path], Mask],
    images: PictureReader | None = None,
) -> tuple[Image, Mask]:
    """Read a labelled frame: image, (H, W, 3) uint8 RGB, and mask, (H, W) uint8.

    Args:
        image_path: The image file.
        mask_path: The mask file.
        read_mask: Reads the mask file.
        images: Reads the image file, by the range of a bundle or of a site where it is deep.

    Raises:
        DataError: A file is missing or damaged, or they differ in size.
    """
    try:
        image = (images or PictureReader()).read(image_path)
    except DataError as error:
        raise DataError(f"{error}; restore it or take it out") from None
    truth = read_mask(mask_path)
    if image.shape[:2] != truth.shape:
        shapes = " and ".join(f"{shape[1]}x{shape[0]}" for shape in (image.shape, truth.shape))
        cure = "label the image at its own size"
        if image.shape[1::-1] == truth.shape:
            cure += ", or, if the labelling tool ignored an EXIF turn of it, turn the mask as well"
        raise DataError(f"{image_path} and {mask_path} differ in size ({shapes}); {cure}")
    return image, truth
