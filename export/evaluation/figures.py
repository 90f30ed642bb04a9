"""How far one file sees what another sees on the same val frames: the figures of the parity chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import Image
from edgeseg.metrics import (
    Counts,
    block_length,
    expected_calibration_error,
    iou,
    miou,
    near_boundary,
    paired_bootstrap,
    pixel_agreement,
)

Array = NDArray[np.float32]


@dataclass(frozen=True)
class LogitSamples:
    """A regular sample of the labelled val pixels, at the logits' size.

    Attributes:
        logits: (M, C).
        labels: (M,).
    """

    logits: Array
    labels: Image


@dataclass(frozen=True)
class EvaluationResult:
    """What one model made of the val frames.

    Attributes:
        counts: (frames, C, C), at the truth's own size.
        masks: (H, W) uint8 of each frame, at the graph's size.
        entropies: (h, w) float32 of each frame; none from torch.
    """

    counts: Counts
    masks: list[Image]
    entropies: list[Array]


def accuracy_metrics(
    outcome: EvaluationResult, names: tuple[str, ...], before: EvaluationResult | None = None
) -> dict[str, Any]:  # Any: numbers, tables
    """What the manifest says of one link: mIoU and IoU of each class in percent, and how it
    compares with `before`.

    `drop` is in mIoU points, positive where this link is worse; `drop_interval` its 95 % interval
    over blocks of val frames; `boundary_agreement` is the agreement within two pixels of a class
    border.
    """
    total = outcome.counts.sum(0)
    classes = iou(total)
    found: dict[str, Any] = {
        "miou": round(miou(total), 4),
        "per_class": {
            name: None if np.isnan(value) else round(float(value), 3)
            for name, value in zip(names, classes)
        },
    }
    if before is None:
        return found
    change = paired_bootstrap(
        outcome.counts, before.counts, block=block_length(len(outcome.counts))
    )
    losses = np.nan_to_num(iou(before.counts.sum(0)) - classes, nan=-np.inf)
    worst = int(np.argmax(losses))
    same = [one == other for one, other in zip(outcome.masks, before.masks)]
    edges = [near_boundary(mask) for mask in before.masks]
    near = sum(int(edge.sum()) for edge in edges)
    return found | {
        "agreement": round(
            float(np.mean([pixel_agreement(a, b) for a, b in zip(outcome.masks, before.masks)])), 4
        ),
        "boundary_agreement": round(
            100 * sum(int((a & b).sum()) for a, b in zip(same, edges)) / near, 3
        )
        if near
        else None,
        "drop": round(-change.mean, 4),
        "drop_interval": [round(-change.high, 4), round(-change.low, 4)],
        "worst_class": {"name": names[worst], "drop": round(float(losses[worst]), 3)},
    }


def likelihood_metrics(
    samples: LogitSamples, temperature: float, before: LogitSamples | None = None
) -> dict[str, Any]:  # Any: as `figures`
    """Expected calibration error in percent, and the signal-to-noise ratio of the logits against
    `before` in dB.
    """
    error = expected_calibration_error(samples.logits / np.float32(temperature), samples.labels)
    found: dict[str, Any] = {"calibration_error": round(100 * error, 3)}
    if before is not None:
        found["sqnr"] = round(sqnr(samples.logits, before.logits), 2)
    return found


def sqnr(values: Array, reference: Array) -> float:
    """Signal-to-quantization-noise ratio in dB; infinite for equal values."""
    noise = float(np.sum((values.astype(np.float64) - reference) ** 2))
    signal = float(np.sum(reference.astype(np.float64) ** 2))
    return 10 * float(np.log10(signal / noise)) if noise and signal else float("inf")
