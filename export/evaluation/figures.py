"""The figures of the parity chain: how far a file computes on the val frames what another does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Mask
from edgeseg.metrics import (
    Counts,
    block_length,
    expected_calibration_error,
    iou_of_shown,
    miou,
    near_boundary,
    paired_bootstrap,
    pixel_agreement,
)

Array = NDArray[np.float32]
Figures = dict[str, Any]  # Any: numbers and tables of them


@dataclass(frozen=True)
class LogitSamples:
    """A regular sample of the labelled val pixels, at the logits' size.

    Attributes:
        logits: (M, C).
        labels: (M,).
    """

    logits: Array
    labels: Mask


@dataclass(frozen=True)
class EvaluationResult:
    """What one model predicted on the val frames.

    Attributes:
        counts: (frames, C, C) pixels by true and predicted class, at the truth's own size.
        masks: (H, W) uint8 of each frame, at the graph's size, without padding.
        entropies: (h, w) float32 of each frame; none from torch.
    """

    counts: Counts
    masks: list[Mask]
    entropies: list[Array]


def accuracy_metrics(
    evaluation: EvaluationResult,
    class_names: tuple[str, ...],
    reference: EvaluationResult | None = None,
) -> Figures:
    """Return what the manifest says of one file.

    mIoU and IoU of each class in percent (None for a class that val does not show), and with a
    reference: `drop` in mIoU points, positive where the file is worse, with its 95 % interval over
    blocks of val frames in `drop_interval`; `agreement` in percent of the pixels, and
    `boundary_agreement` the same within two pixels of a class border; `worst_class` with the IoU
    points that it loses.

    Args:
        reference: What the file is compared with.
    """
    total = evaluation.counts.sum(0)
    class_ious = iou_of_shown(total)
    figures: Figures = {
        "miou": round(miou(total), 4),
        "per_class": {
            name: None if np.isnan(value) else round(float(value), 3)
            for name, value in zip(class_names, class_ious)
        },
    }
    if reference is None:
        return figures
    change = paired_bootstrap(
        evaluation.counts, reference.counts, block=block_length(len(evaluation.counts))
    )
    losses = np.nan_to_num(iou_of_shown(reference.counts.sum(0)) - class_ious, nan=-np.inf)
    worst = int(np.argmax(losses))
    agreements = [
        pixel_agreement(mask, reference_mask)
        for mask, reference_mask in zip(evaluation.masks, reference.masks)
    ]
    return figures | {
        "agreement": round(float(np.mean(agreements)), 4),
        "boundary_agreement": _boundary_agreement(evaluation.masks, reference.masks),
        "drop": round(-change.mean, 4),
        "drop_interval": [round(-change.high, 4), round(-change.low, 4)],
        "worst_class": {"name": class_names[worst], "drop": round(float(losses[worst]), 3)},
    }


def _boundary_agreement(masks: list[Mask], references: list[Mask]) -> float | None:
    """Return the agreement near class borders of the reference, None if it has no borders."""
    pixels = agreeing = 0
    for mask, reference in zip(masks, references):
        boundary = near_boundary(reference)
        pixels += int(boundary.sum())
        agreeing += int((boundary & (mask == reference)).sum())
    return round(100 * agreeing / pixels, 3) if pixels else None


def likelihood_metrics(
    samples: LogitSamples, temperature: float, reference: LogitSamples | None = None
) -> Figures:
    """Return the expected calibration error in percent and, with a reference, the SQNR in dB.

    Args:
        temperature: What the logits are divided by for the calibration error.
        reference: The float logits of the same pixels.
    """
    error = expected_calibration_error(samples.logits / np.float32(temperature), samples.labels)
    figures: Figures = {"calibration_error": round(100 * error, 3)}
    if reference is not None:
        figures["sqnr"] = round(sqnr(samples.logits, reference.logits), 2)
    return figures


def sqnr(values: Array, reference: Array) -> float:
    """Return the signal-to-quantization-noise ratio in dB; infinite for equal values."""
    noise = float(np.sum((values.astype(np.float64) - reference) ** 2))
    signal = float(np.sum(reference.astype(np.float64) ** 2))
    return 10 * float(np.log10(signal / noise)) if noise and signal else float("inf")
