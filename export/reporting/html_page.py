"""The report of an export: the parity chain as a table, what each rung of a ladder brought, and the
worst frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle.flavours import FP32, GATED
from edgeseg.export.evaluation.figures import EvaluationResult
from edgeseg.export.evaluation.parity import ValFrames
from edgeseg.export.reporting.model_card import (
    PARITY_HEADER,
    RECIPE_HEADER,
    STEP_TITLES,
    parity_rows,
    recipe_rows,
)
from edgeseg.html_report import HtmlReport
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.drawing import paint_entropy, paint_mask
from edgeseg.metrics import pixel_agreement

SHOWN_FRAMES = 4  # frames of each file
GRAY, CHANGED = 70, (230, 60, 60)
Figures = dict[str, Any]  # Any: see edgeseg.export.evaluation.figures.accuracy_metrics
QUALITY_FORMATS = {
    "boundary_agreement": "{:.2f} %",
    "sqnr": "{:.1f} dB",
    "calibration_error": "{:.2f} %",
    "entropy_shift": "{:+.4f}",
    "temperature": "{:.3f}",
    "gamma": "{:.4f}",
    "unreliable": "{:.1%}",
}
QUALITY_HEADER = (
    "file",
    "agreement at borders",
    "SQNR of logits",
    "calibration error",
    "entropy shift",
    "temperature",
    "gamma",
    "unreliable",
)


def render_report(
    figures: Figures, refused: list[str], val: ValFrames, outcomes: Mapping[str, EvaluationResult]
) -> HtmlReport:
    """Draw it.

    Args:
        outcomes: on val, by flavour; "fp32" is what the others are compared with.
    """
    config = val.site.config
    page = HtmlReport(
        f"{config.name}: export",
        f"{len(val.frames)} val frames through every file, {val.size[1]}x{val.size[0]}; agreement and drops against "
        "FP32, FP32's own against torch.",
    )
    page.table(PARITY_HEADER, parity_rows(figures))
    for sentence in refused:
        page.paragraph(sentence)
    page.heading("What else the files share, and what not")
    page.paragraph(
        "Borders are pixels within two of a change of class. Calibration error is how far confidence and accuracy are "
        "apart (15 bins). Temperature and gamma are fitted on each file itself, so that a score means the same "
        "whichever file a device runs; the entropy shift is what is left."
    )
    steps = [step for step in STEP_TITLES if step in figures and step != "torch"]
    page.table(QUALITY_HEADER, [_quality_row(STEP_TITLES[step], figures[step]) for step in steps])
    for name, tried in recipe_rows(figures).items():
        page.heading(f"How {name} was made")
        page.table(RECIPE_HEADER, tried)
    page.heading("Classes")
    page.table(
        ["IoU", *(STEP_TITLES[step] for step in steps)],
        [
            [name, *(_iou(figures[step]["per_class"][name]) for step in steps)]
            for name in config.class_names
        ],
    )
    for step in GATED:
        if step in outcomes:
            _worst_frames(page, STEP_TITLES[step], val, outcomes[FP32], outcomes[step])
    return page


def _iou(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _quality_row(name: str, found: Figures) -> tuple[str, ...]:
    return (
        name,
        *(
            form.format(found[key]) if found.get(key) is not None else "-"
            for key, form in QUALITY_FORMATS.items()
        ),
    )


def _worst_frames(
    page: HtmlReport, name: str, val: ValFrames, before: EvaluationResult, after: EvaluationResult
) -> None:
    """The frames on which a file agrees least with FP32."""
    shares = [pixel_agreement(one, other) for one, other in zip(after.masks, before.masks)]
    palette = val.site.config.palette
    page.heading(f"Where {name} differs most from FP32")
    page.legend([(spec.name, spec.color) for spec in val.site.config.classes])
    lines = []
    for place in np.argsort(shares, kind="stable")[:SHOWN_FRAMES]:
        frame, entropy = val.image(int(place)), before.entropies[place]
        step = np.ix_(
            *(np.arange(side) * small // side for side, small in zip(val.size, entropy.shape))
        )
        lines.append(
            [
                (frame, val.frames[int(place)].id),
                (paint_mask(before.masks[place], palette), "FP32"),
                (
                    paint_mask(after.masks[place], palette),
                    f"{name}, {shares[place]:.2f} % the same",
                ),
                (
                    _differences(frame, before.masks[place] != after.masks[place]),
                    "pixels that changed",
                ),
                (paint_entropy(entropy[step]), "entropy of FP32"),
            ]
        )
    page.pictures([], lines)


def _differences(frame: Image, changed: NDArray[np.bool_]) -> Image:
    """The frame in gray, changed pixels in red."""
    gray = np.repeat(frame.mean(2, keepdims=True) * ((255 - GRAY) / 255) + GRAY, 3, 2).astype(
        np.uint8
    )
    gray[changed] = CHANGED
    return gray
