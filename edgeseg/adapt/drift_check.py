"""The drift check before a round trains: pseudo-labels of the selected frames against the labels.

The champion's site model predicts the frames. Their class histogram tells in time when
self-training collapses (`collapse_alarms`), and the masks, class ids with unreliable pixels left
open, show a person what the round is about to learn from. No training reads them: it makes its own
targets, step by step, with a teacher that moves. On disk the step is called "pseudo-label" and its
folder `pseudo/`, as in the literature.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edgeseg.adapt.collapse_alarms import (
    PixelCounts,
    PseudoLabelStatistics,
    compare_histograms,
    frames_unlike_labels,
)
from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.errors import AdaptError
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.imaging.image_codec import encode_png
from edgeseg.models.model_files import load_model
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Frame, Site
from edgeseg.training.model_evaluation import predict

LEVELS = 65535  # entropy 0..1 is kept as an integer 0..LEVELS between the two passes
MOST_FLAGGED = 12  # frames behind an alarm that a person is shown
EntropyLevels = NDArray[np.uint16]


def check_drift(
    site: Site,
    run: Path,
    frames: Sequence[Frame],
    out: Path,
    *,
    alpha: float,
    device: str = "auto",
    report: ProgressReporter | None = None,
) -> PseudoLabelStatistics:
    """Predict the frames and compare their class histogram with that of the labels.

    Writes `out/<frame id>.png` (class ids, 255 where unreliable) at the frames' own sizes, and
    `out/statistics.json`. The frames are gone through twice: gamma, the threshold of the entropy,
    is known only when all of them are predicted. A second start continues after the last frame
    that was predicted.

    Args:
        site: The site.
        run: The run of the site model; its best weights are those of the EMA teacher.
        frames: The selected frames.
        out: The folder to write to.
        alpha: The share of pixels called unreliable.
        device: "auto", "cpu" or "cuda".
        report: Where progress is told.

    Raises:
        AdaptError: The run was trained on other classes.
        TrainError: The run is damaged.
        DataError: A frame is missing or damaged.
    """
    report = report or NullReporter()
    predictions = out / "predictions"
    report.start("pseudo-labels", len(frames))
    missing = [frame for frame in frames if not _prediction_path(predictions, frame).exists()]
    _predict_frames(site, run, missing, predictions, device, report)
    gamma = _entropy_threshold((_load_seen(predictions, frame) for frame in frames), alpha)
    classes = len(site.config.classes)
    predicted, kept = np.zeros((len(frames), classes)), np.zeros(classes)
    for place, frame in enumerate(frames):
        mask, entropy = _load_prediction(predictions, frame)
        predicted[place] = np.bincount(mask[mask != IGNORE], minlength=classes)
        full_size = cv2.resize(entropy, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        mask[full_size > gamma] = IGNORE
        kept += np.bincount(mask[mask != IGNORE], minlength=classes)
        write_atomic(out / f"{frame.id}.png", encode_png(mask))
    report.stop()
    labelled = count_labelled_pixels(site)
    statistics = compare_histograms(
        site.config.class_names,
        predicted=predicted.sum(0),
        kept=kept,
        labelled=labelled,
        gamma=gamma / LEVELS,
        frames=len(frames),
    )
    if statistics.alarms or statistics.collapse:
        names = [frame.id for frame in frames]
        flagged = frames_unlike_labels(names, predicted, labelled, MOST_FLAGGED)
        statistics = replace(statistics, flagged=flagged)
    write_json(out / "statistics.json", asdict(statistics))
    shutil.rmtree(predictions)
    return statistics


def count_labelled_pixels(site: Site) -> PixelCounts:
    """Return the (C,) labelled pixels of each class in the `labelled` split."""
    counts = np.zeros(256)
    for frame in site.frames("labelled"):
        mask = read_site_frame(site, frame)[1]
        if mask is not None:
            counts += np.bincount(mask.ravel(), minlength=256)
    return counts[: len(site.config.classes)]


def _predict_frames(
    site: Site,
    run: Path,
    frames: Sequence[Frame],
    folder: Path,
    device: str,
    report: ProgressReporter,
) -> None:
    """Write mask and entropy of every frame to `folder`.

    Raises:
        AdaptError: The run was trained on other classes.
    """
    if not frames:
        return
    model = load_model(run)
    if [spec.name for spec in model.card.classes] != list(site.config.class_names):
        raise AdaptError(
            f"{run} was trained on other classes than edgeseg.toml lists; train, distil and export "
            "anew"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model.module.to(device)
    for frame in frames:
        image, _ = read_site_frame(site, frame)
        size = model.card.height, model.card.width
        fit = fit_frame(model.card.fit, (image.shape[0], image.shape[1]), size)
        masks, entropies = predict(model.module, [fit.image(image)], device)
        mask = fit.frame_mask(masks[0].numpy())
        levels = (entropies[0].numpy().clip(0, 1) * LEVELS).round().astype(np.uint16)
        entropy, seen = fit.restore_map(levels), fit.inside_map(levels)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, mask=mask, entropy=entropy, seen=seen)
        write_atomic(_prediction_path(folder, frame), buffer.getvalue())
        report.advance(1)


def _entropy_threshold(entropies: Iterable[EntropyLevels], alpha: float) -> int:
    """Return the lowest level with at most a share `alpha` of the pixels above it.

    For example, of 10 pixels at the levels 1 to 10 and alpha 0.2 it is 8: two lie above.
    """
    counts = sum(
        (np.bincount(entropy.ravel(), minlength=LEVELS + 1) for entropy in entropies),
        np.zeros(LEVELS + 1),
    )
    above = 1 - np.cumsum(counts) / counts.sum()  # share of the pixels above each level
    return int(np.argmax(above <= alpha + 1e-12))  # argmax: the first that fulfils it


def _prediction_path(folder: Path, frame: Frame) -> Path:
    return folder / f"{frame.id}.npz"


def _load_prediction(folder: Path, frame: Frame) -> tuple[Mask, EntropyLevels]:
    with np.load(_prediction_path(folder, frame), allow_pickle=False) as arrays:
        return arrays["mask"], arrays["entropy"]


def _load_seen(folder: Path, frame: Frame) -> EntropyLevels:
    """Return the entropy of what the network saw of a frame, without what a crop leaves out."""
    with np.load(_prediction_path(folder, frame), allow_pickle=False) as arrays:
        # a round that an older version began has no such part
        levels: EntropyLevels = arrays["seen" if "seen" in arrays else "entropy"]
        return levels
