"""Pseudo-labels: what the champion's site model sees on the selected frames.

The masks show a person what the round is about to learn from, and their class histogram tells in
time when self-training collapses. Training makes its own targets, step by step, with a teacher that
moves.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from edgeseg.adapt.collapse_alarms import PixelCounts, PseudoLabelStatistics, compare_histograms
from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.errors import AdaptError
from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.image_codec import encode_png
from edgeseg.imaging.resize import resize_image, resize_mask
from edgeseg.models.model_files import load_model
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Frame, Site
from edgeseg.training.model_evaluation import predict

LEVELS = 65535  # entropy is kept in 16 bits between the two passes


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
    """Write `out/<frame id>.png` (class ids, 255 where unreliable) at the frames' own sizes, and
    `out/statistics.json`.

    A second start continues after the last frame that was predicted.

    Args:
        run: the site model; its best weights are those of the EMA teacher.
        alpha: share of pixels called unreliable.

    Raises:
        TrainError: the run is damaged.
        DataError: a frame is.
    """
    report = report or NullReporter()
    predictions = out / "predictions"
    report.start("pseudo-labels", len(frames))
    missing = [frame for frame in frames if not _prediction(predictions, frame).exists()]
    _predict(site, run, missing, predictions, device, report)
    gamma = _gamma((_read(predictions, frame)[1] for frame in frames), alpha)
    classes = len(site.config.classes)
    predicted, kept = np.zeros(classes), np.zeros(classes)
    for frame in frames:
        mask, entropy = _read(predictions, frame)
        predicted += np.bincount(mask.ravel(), minlength=classes)
        mask[cv2.resize(entropy, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > gamma] = IGNORE
        kept += np.bincount(mask[mask != IGNORE], minlength=classes)
        write_atomic(out / f"{frame.id}.png", encode_png(mask))
    report.stop()
    statistics = compare_histograms(
        site.config.class_names,
        predicted=predicted,
        kept=kept,
        labelled=count_labelled_pixels(site),
        gamma=gamma / LEVELS,
        frames=len(frames),
    )
    write_json(out / "statistics.json", asdict(statistics))
    shutil.rmtree(predictions)
    return statistics


def count_labelled_pixels(site: Site) -> PixelCounts:
    """(C,) labelled pixels of each class in the `labelled` split."""
    counts = np.zeros(256)
    for frame in site.frames("labelled"):
        mask = read_site_frame(site, frame)[1]
        if mask is not None:
            counts += np.bincount(mask.ravel(), minlength=256)
    return counts[: len(site.config.classes)]


def _predict(
    site: Site,
    run: Path,
    frames: Sequence[Frame],
    folder: Path,
    device: str,
    report: ProgressReporter,
) -> None:
    if not frames:
        return
    model = load_model(run)
    if [spec.name for spec in model.card.classes] != list(site.config.class_names):
        raise AdaptError(
            f"{run} was trained on other classes than edgeseg.toml lists; train, distil and export anew"
        )
    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    model.module.to(place)
    for frame in frames:
        image, _ = read_site_frame(site, frame)
        masks, entropies = predict(
            model.module, [resize_image(image, (model.card.height, model.card.width))], place
        )
        levels = (entropies[0].numpy().clip(0, 1) * LEVELS).round().astype(np.uint16)
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, mask=resize_mask(masks[0].numpy(), image.shape[:2]), entropy=levels
        )
        write_atomic(_prediction(folder, frame), buffer.getvalue())
        report.advance(1)


def _gamma(entropies: Iterable[NDArray[np.uint16]], alpha: float) -> int:
    """The least level with at most a share `alpha` of the pixels above it."""
    counts = sum(
        (np.bincount(entropy.ravel(), minlength=LEVELS + 1) for entropy in entropies),
        np.zeros(LEVELS + 1),
    )
    above = 1 - np.cumsum(counts) / counts.sum()
    return int(np.argmax(above <= alpha + 1e-12))


def _prediction(folder: Path, frame: Frame) -> Path:
    return folder / f"{frame.id}.npz"


def _read(folder: Path, frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    with np.load(_prediction(folder, frame), allow_pickle=False) as arrays:
        return arrays["mask"], arrays["entropy"]
