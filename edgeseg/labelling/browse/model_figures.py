"""What a model has said about frames that it looked at, for the order of labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeseg.labelling.worth import frame_table
from edgeseg.labelling.worth.model_doubts import FIGURES, ModelDoubts
from edgeseg.site import Site

SHOWN = 0.001  # share of a frame from which on a model sees a class in it


@dataclass(frozen=True)
class ModelFigures:
    """The figures of N frames by the newest model that looked at any.

    Attributes:
        model: The model in a person's words; empty where none has looked.
        places: Row of each frame, by its id.
        entropy: (N,) mean entropy, 0..1, borders of classes discounted.
        contradiction: (N,) share of pixels that are another class in the mirror.
        sees: (N, C) bool, the classes that it sees.
    """

    model: str
    places: dict[str, int]
    entropy: frame_table.Row
    contradiction: frame_table.Row
    sees: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def read_model_figures(site: Site) -> ModelFigures:
    """Read the figures that are there; no model is opened and no frame looked at."""
    classes = len(site.config.classes)
    width = FIGURES + 2 * classes
    model, rows = frame_table.newest_described_rows(site, width)
    table = np.stack(list(rows.values())) if rows else np.zeros((0, width), np.float32)
    doubts = ModelDoubts.from_rows(table, classes)
    return ModelFigures(
        model,
        {name: place for place, name in enumerate(rows)},
        doubts.entropy,
        doubts.contradiction,
        doubts.areas > SHOWN,
    )
