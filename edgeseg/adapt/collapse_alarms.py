"""Alarms of self-training: the pseudo-labels' class histogram set against that of the labels.

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
PixelCounts = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PseudoLabelStatistics:
    """The pseudo-labels of a round in figures; histograms are shares of pixels by class.

    Attributes:
        gamma: entropy (0..1) above which a pixel is unreliable; a share alpha of all pixels lies
            above it.
        kept: share of pixels that got a label.
        predicted: of all pixels, reliable or not.
        pseudo: of the pixels that got a label.
        labelled: of the site's labels.
        kl: KL(predicted || labelled) in nats.
        effective, effective_labelled: exp of the histogram's entropy, the number of classes it
        amounts to.
        alarms: sentences worth a look.
        collapse: why training must not go on, or empty.
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


def compare_histograms(
    names: Sequence[str],
    *,
    predicted: PixelCounts,
    kept: PixelCounts,
    labelled: PixelCounts,
    gamma: float,
    frames: int,
) -> PseudoLabelStatistics:
    """Set the class histograms of pseudo-labels and labels against each other.

    Args:
        predicted, kept, labelled: (C,) pixels by class.

    A site whose labels are themselves nearly one class is judged by its own measure: the one class
    may then swallow half of what the labels leave to the others.
    """
    p, q = _smoothed_shares(predicted), _smoothed_shares(labelled)
    kl = float(np.sum(p * np.log(p / q)))
    effective, wanted = _effective_classes(p), _effective_classes(q)
    top = int(p.argmax())
    limit = max(DOMINANT_SHARE, 1 - (1 - float(q[top])) / 2)
    collapse = ""
    if p[top] > limit:
        collapse = f"{names[top]} takes {100 * p[top]:.1f} % of the pseudo-labels and {100 * q[top]:.1f} % of the labels"
    elif effective < MIN_CLASSES_RATIO * wanted:
        collapse = f"the pseudo-labels amount to {effective:.1f} classes where the labels amount to {wanted:.1f}"
    alarms = []
    if kl > KL_ALARM:
        off = int(np.abs(p - q).argmax())
        alarms.append(
            f"pseudo-labels and labels differ by {kl:.2f} nats (alarm above {KL_ALARM:g}), most in {names[off]}: "
            f"{100 * q[off]:.1f} % of the labels, {100 * p[off]:.1f} % of the pseudo-labels"
        )
    return PseudoLabelStatistics(
        frames=frames,
        gamma=round(gamma, 4),
        kept=round(float(kept.sum() / predicted.sum()), 4),
        predicted=_shares_by_class(names, predicted),
        pseudo=_shares_by_class(names, kept),
        labelled=_shares_by_class(names, labelled),
        kl=round(kl, 4),
        effective=round(effective, 3),
        effective_labelled=round(wanted, 3),
        alarms=tuple(alarms),
        collapse=collapse,
    )


def _smoothed_shares(pixels: PixelCounts) -> PixelCounts:
    share = pixels / max(pixels.sum(), 1)
    return np.asarray((share + SMOOTHING) / (share + SMOOTHING).sum())


def _effective_classes(share: PixelCounts) -> float:
    return float(np.exp(-np.sum(share * np.log(share))))


def _shares_by_class(names: Sequence[str], pixels: PixelCounts) -> dict[str, float]:
    return {
        name: round(float(value), 5) for name, value in zip(names, pixels / max(pixels.sum(), 1))
    }
