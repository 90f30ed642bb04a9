"""Alarms of self-training: the pseudo-labels' class histogram against that of the labels.

Self-training that goes wrong does so in the classes: one swallows the others, or the mix drifts
away from what people have labelled. The first stops a round, the second is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KL_ALARM = 0.5  # nats between the pseudo-labels' class histogram and the labels'
DOMINANT_SHARE = 0.98  # share of pixels from which one class counts as having swallowed the others
# share of the labels' effective number of classes below which the pseudo-labels have collapsed
MIN_CLASSES_RATIO = 0.5
# share given to every class before histograms are compared, so that an unseen class is no infinity
SMOOTHING = 1e-4
PixelCounts = NDArray[np.float64]  # (C,) number of pixels of each class


@dataclass(frozen=True, kw_only=True)
class PseudoLabelStatistics:
    """The pseudo-labels of a round in figures, under the keys of `pseudo/statistics.json`.

    Histograms are shares of pixels by class.

    Attributes:
        frames: The number of frames.
        gamma: The entropy (0..1) above which a pixel is unreliable; a share alpha of all pixels
            lies above it.
        kept: The share of pixels that got a label.
        predicted: The histogram of all pixels, reliable or not.
        pseudo: The histogram of the pixels that got a label.
        labelled: The histogram of the site's labels.
        kl: KL(predicted || labelled) in nats.
        effective: The number of classes that `predicted` amounts to: exp of its entropy.
        effective_labelled: The same of `labelled`.
        alarms: Sentences worth a look.
        collapse: The reason why training must not go on, or an empty text.
        flagged: Ids of the frames that differ most from the labels, where something is wrong.
    """

    frames: int
    gamma: float
    kept: float
    predicted: dict[str, float]
    pseudo: dict[str, float]
    labelled: dict[str, float]
    kl: float
    effective: float
    effective_labelled: float
    alarms: tuple[str, ...]
    collapse: str
    flagged: tuple[str, ...] = ()


def compare_histograms(
    names: Sequence[str],
    *,
    predicted: PixelCounts,
    kept: PixelCounts,
    labelled: PixelCounts,
    gamma: float,
    frames: int,
) -> PseudoLabelStatistics:
    """Compare the class histograms of pseudo-labels and labels.

    Args:
        names: The names of the C classes.
        predicted: (C,) pixels by class of all predictions.
        kept: (C,) those of them that are reliable.
        labelled: (C,) pixels by class of the labels.
        gamma: The entropy above which a pixel is unreliable.
        frames: The number of frames that were predicted.
    """
    p, q = _smoothed_shares(predicted), _smoothed_shares(labelled)
    kl = float(np.sum(p * np.log(p / q)))
    return PseudoLabelStatistics(
        frames=frames,
        gamma=round(gamma, 4),
        kept=round(float(kept.sum() / predicted.sum()), 4),
        predicted=_shares_by_class(names, predicted),
        pseudo=_shares_by_class(names, kept),
        labelled=_shares_by_class(names, labelled),
        kl=round(kl, 4),
        effective=round(_effective_classes(p), 3),
        effective_labelled=round(_effective_classes(q), 3),
        alarms=_drift_alarms(names, p, q, kl),
        collapse=_describe_collapse(names, p, q),
    )


def frames_unlike_labels(
    frames: Sequence[str], predicted: PixelCounts, labelled: PixelCounts, number: int
) -> tuple[str, ...]:
    """Return the frames whose predicted classes differ most from those of the labels.

    Args:
        frames: Ids of N frames.
        predicted: (N, C) pixels by class of their predictions.
        labelled: (C,) pixels by class of the labels.
        number: Of frames to return.
    """
    shares = predicted / np.maximum(predicted.sum(1, keepdims=True), 1)
    apart = np.abs(shares - labelled / max(labelled.sum(), 1)).sum(1)
    return tuple(frames[place] for place in np.argsort(-apart, kind="stable")[:number])


def _describe_collapse(names: Sequence[str], p: PixelCounts, q: PixelCounts) -> str:
    """Return why the predicted shares `p` have collapsed against the labelled `q`, or "".

    A site whose labels are themselves nearly one class is judged by its own measure: the one class
    may then swallow half of what the labels leave to the others. If 99 % of the labels are water,
    water may take up to 99.5 % of the pseudo-labels.
    """
    top = int(p.argmax())
    limit = max(DOMINANT_SHARE, 1 - (1 - float(q[top])) / 2)
    if p[top] > limit:
        return (
            f"{names[top]} takes {100 * p[top]:.1f} % of the pseudo-labels and "
            f"{100 * q[top]:.1f} % of the labels"
        )
    predicted, labelled = _effective_classes(p), _effective_classes(q)
    if predicted < MIN_CLASSES_RATIO * labelled:
        return (
            f"the pseudo-labels amount to {predicted:.1f} classes where the labels amount to "
            f"{labelled:.1f}"
        )
    return ""


def _drift_alarms(
    names: Sequence[str], p: PixelCounts, q: PixelCounts, kl: float
) -> tuple[str, ...]:
    if kl <= KL_ALARM:
        return ()
    worst = int(np.abs(p - q).argmax())
    return (
        f"pseudo-labels and labels differ by {kl:.2f} nats (alarm above {KL_ALARM:g}), most in "
        f"{names[worst]}: {100 * q[worst]:.1f} % of the labels, {100 * p[worst]:.1f} % of the "
        "pseudo-labels",
    )


def _smoothed_shares(pixels: PixelCounts) -> PixelCounts:
    """Return (C,) shares that sum to 1, none of them 0."""
    shares = pixels / max(pixels.sum(), 1)
    return np.asarray((shares + SMOOTHING) / (shares + SMOOTHING).sum())


def _effective_classes(shares: PixelCounts) -> float:
    """Return exp of the entropy: 3.0 for three equal shares, 1.0 for one class alone."""
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _shares_by_class(names: Sequence[str], pixels: PixelCounts) -> dict[str, float]:
    return {
        name: round(float(value), 5) for name, value in zip(names, pixels / max(pixels.sum(), 1))
    }
