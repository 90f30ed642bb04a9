"""What a model knows and does not know about a frame: doubts inside regions, contradictions.

Entropy is highest along the borders of classes, whatever the model has learned: two classes meet
within one cell of the logits, and people do not agree on the pixel either. A frame with many thin
things would lead every queue. So a cell at a border counts a quarter, and what remains is a region
that the model cannot name. The mean says how much of the frame that is; the highest twentieth of
its parts says whether there is one thing, however small, that it does not know.

The second opinion is the same model on the mirrored frame: training flips frames, so what is
learned holds in the mirror, and where the two differ by more than a border the model guesses. It
costs one more pass and no second network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.resize import resize_mask
from edgeseg.labelling.site_models import SiteModel

Floats = NDArray[np.float32]
BORDER_WEIGHT = 0.25  # of a cell that has another class beside it
PARTS = 8  # a frame is cut into 8 x 8 parts
UNKNOWN_PARTS = 0.95  # quantile over the parts
LAYOUT = 4  # classes are counted in 4 x 4 cells where a model gives no features
FIGURES = 3  # of a frame: entropy, unknown, contradiction


@dataclass(frozen=True)
class ModelDoubts:
    """The doubts of a model about N frames.

    Attributes:
        entropy: (N,) mean entropy, 0..1, borders discounted.
        unknown: (N,) mean entropy of the parts that it knows least.
        contradiction: (N,) share of pixels that are another class in the mirror, borders left out.
        areas: (N, C) predicted share of each class.
        unsure: (N, C) share of the frame's doubts that lie in each predicted class.
        features: (N, D) what the frames show.
    """

    entropy: Floats
    unknown: Floats
    contradiction: Floats
    areas: Floats
    unsure: Floats
    features: Floats

    @classmethod
    def from_rows(cls, rows: Floats, classes: int) -> ModelDoubts:
        """Take rows of `look_at_frame`, (N, 3 + 2 C + D), apart."""
        ends = np.cumsum([1, 1, 1, classes, classes])
        parts = np.split(rows, ends, axis=1)
        return cls(*(part[:, 0] for part in parts[:FIGURES]), *parts[FIGURES:])


def look_at_frame(model: SiteModel, image: Image, classes: int) -> Floats:
    """Return a row of figures of one frame, see `ModelDoubts`.

    Args:
        image: (H, W, 3) uint8 RGB.
        classes: Their number C.
    """
    fit = model.fit(image)
    seen = fit.image(image)
    view = model.view(seen)
    mirrored = model.view(np.ascontiguousarray(seen[:, ::-1])).mask[:, ::-1]
    inside = fit.inside.slices if fit.pads else (slice(None), slice(None))
    mask, mirrored = view.mask[inside], mirrored[inside]
    entropy = fit.inside_map(view.entropy)
    cells = resize_mask(mask, (entropy.shape[0], entropy.shape[1]))
    weight = np.where(_borders(cells), BORDER_WEIGHT, 1.0).astype(np.float32)
    doubts = entropy * weight
    interior = ~_borders(mask, 5) & ~_borders(mirrored, 5)
    differs = (mask != mirrored) & interior
    figures = [
        float(doubts.sum() / weight.sum()),
        float(np.quantile(_part_means(doubts) / _part_means(weight), UNKNOWN_PARTS)),
        float(differs.sum() / max(1, interior.sum())),
    ]
    areas = _shares(mask, np.ones_like(mask, np.float32), classes)
    unsure = _shares(cells, doubts, classes)
    features = _layout(mask, classes) if view.features is None else view.features
    return np.concatenate([figures, areas, unsure, features]).astype(np.float32)


def _borders(mask: Mask, side: int = 3) -> NDArray[np.bool_]:
    """Return where a square of `side` pixels around a pixel holds more than one class."""
    kernel = np.ones((side, side), np.uint8)
    return np.asarray(cv2.dilate(mask, kernel) != cv2.erode(mask, kernel))


def _part_means(values: Floats) -> Floats:
    """Return the means of the parts of a map, (PARTS, PARTS)."""
    return np.asarray(cv2.resize(values, (PARTS, PARTS), interpolation=cv2.INTER_AREA), np.float32)


def _shares(mask: Mask, weights: Floats, classes: int) -> Floats:
    """Return the share of the weights that lies in each class, (C,)."""
    sums = np.bincount(mask.ravel(), weights.ravel(), minlength=IGNORE + 1)[:classes]
    return np.asarray(sums / max(float(sums.sum()), 1e-9), np.float32)


def _layout(mask: Mask, classes: int) -> Floats:
    """Return square roots of the share of each class in each cell: what is where, (16 C,).

    Roots bring small things nearer to large ones.
    """
    planes = (mask[..., None] == np.arange(classes)).astype(np.float32)
    cells = [
        cv2.resize(np.ascontiguousarray(planes[..., index]), (LAYOUT, LAYOUT), interpolation=3)
        for index in range(classes)
    ]
    return np.sqrt(np.stack(cells, -1).ravel())
