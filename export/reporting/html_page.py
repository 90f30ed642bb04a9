"""The report of an export: the parity chain, the INT8 recipes that were tried, the worst frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle.flavours import FLAVOURS, FP32, GATED, INT8_CPU, Flavour
from edgeseg.export.evaluation.figures import EvaluationResult
from edgeseg.export.evaluation.library_verdicts import problem_sentences
from edgeseg.export.evaluation.site_frames import ValFrames
from edgeseg.export.reporting.library_table import TABLE_LEGEND, library_remarks, library_tables
from edgeseg.export.reporting.model_card import (
    PARITY_HEADER,
    RECIPE_HEADER,
    STEP_TITLES,
    parity_rows,
    recipe_rows,
)
from edgeseg.html_report import HtmlReport, ReliabilityCurve
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.drawing import paint_entropy, paint_mask
from edgeseg.metrics import Reliability, format_class_iou, pixel_agreement
from edgeseg.site import FrameNames

SHOWN_FRAMES = 4  # of each file
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
    figures: Figures,
    refused: list[str],
    val: ValFrames,
    evaluations: Mapping[Flavour, EvaluationResult],
    reliabilities: Mapping[Flavour, Reliability],
) -> HtmlReport:
    """Return the report.

    Args:
        figures: The figures of each step.
        refused: Sentences about files that failed their gates.
        val: The val frames.
        evaluations: The evaluation on val, by flavour; the others are compared with FP32's.
        reliabilities: Confidence against truth on val, by flavour.
    """
    config = val.site.config
    page = HtmlReport(
        f"{config.name}: export",
        f"{len(val.frames)} val frames through every file, {val.size[1]}x{val.size[0]}; agreement "
        "and drops against FP32, FP32's own against torch.",
    )
    page.table(PARITY_HEADER, parity_rows(figures))
    for sentence in refused:
        page.paragraph(sentence)
    _add_library_verdicts(page, figures)
    page.heading("What else the files share, and what not")
    page.paragraph(
        "Borders are pixels within two of a change of class. Calibration error is how far "
        "confidence and accuracy are apart (15 bins). Temperature and gamma are fitted on each "
        "file itself, so that a score means the same whichever file a device runs; the entropy "
        "shift is what is left."
    )
    steps = [step for step in STEP_TITLES if step in figures and step != "torch"]
    page.table(QUALITY_HEADER, [_quality_row(STEP_TITLES[step], figures[step]) for step in steps])
    for title, tried in recipe_rows(figures).items():
        page.heading(f"How {title} was made")
        page.table(RECIPE_HEADER, tried)
    page.heading("Classes")
    page.table(
        ["IoU", *(STEP_TITLES[step] for step in steps)],
        [
            [name, *(format_class_iou(figures[step]["per_class"][name], 2) for step in steps)]
            for name in config.class_names
        ],
    )
    _add_confusion(page, figures, val, evaluations)
    _add_reliability(page, figures, reliabilities)
    for flavour in GATED:
        if flavour in evaluations:
            title = FLAVOURS[flavour].title
            _add_worst_frames(page, title, val, evaluations[FP32], evaluations[flavour])
    return page


def _add_confusion(
    page: HtmlReport,
    figures: Figures,
    val: ValFrames,
    evaluations: Mapping[Flavour, EvaluationResult],
) -> None:
    """Show the confusion matrix of the file that a CPU runs."""
    ships = INT8_CPU in evaluations and "refused" not in figures.get(INT8_CPU, {})
    flavour: Flavour = INT8_CPU if ships else FP32
    page.heading(f"What {FLAVOURS[flavour].title} takes for what")
    page.paragraph("Percent of the val pixels of each true class, by what was predicted there.")
    page.confusion(evaluations[flavour].counts.sum(0), val.site.config.class_names)


def _add_reliability(
    page: HtmlReport, figures: Figures, reliabilities: Mapping[Flavour, Reliability]
) -> None:
    """Draw the files that ship; those that their gates refused are not among them."""
    page.heading("Confidence")
    page.paragraph(
        "How often val pixels are right, by how confident a file is of them once its logits are "
        "divided by its temperature: below the diagonal it promises too much. The calibration "
        "error is the mean distance. The bars are of the first file."
    )
    page.reliability(
        [
            ReliabilityCurve(
                f"{FLAVOURS[flavour].title}, {100 * counted.error:.1f} %", counted.points()
            )
            for flavour, counted in reliabilities.items()
            if "refused" not in figures.get(flavour, {})
        ]
    )


def _add_library_verdicts(page: HtmlReport, figures: Figures) -> None:
    """Show what NVIDIA's parser and builder said, where they were asked."""
    tables = library_tables(figures)
    if not tables:
        return
    page.heading("NVIDIA's own parser and builder")
    page.paragraph(TABLE_LEGEND)
    for title, (header, rows) in tables.items():
        page.paragraph(title)
        page.table(header, rows)
    for sentence in (*problem_sentences(figures), *library_remarks(figures)):
        page.paragraph(sentence)


def _quality_row(title: str, figures: Figures) -> tuple[str, ...]:
    cells = [
        template.format(figures[key]) if figures.get(key) is not None else "-"
        for key, template in QUALITY_FORMATS.items()
    ]
    return (title, *cells)


def _add_worst_frames(
    page: HtmlReport,
    title: str,
    val: ValFrames,
    reference: EvaluationResult,
    evaluation: EvaluationResult,
) -> None:
    """Show the frames on which a file agrees least with FP32."""
    agreements = [
        pixel_agreement(mask, reference_mask)
        for mask, reference_mask in zip(evaluation.masks, reference.masks)
    ]
    palette, names = val.site.config.palette, FrameNames(val.site)
    page.heading(f"Where {title} differs most from FP32")
    page.legend([(spec.name, spec.color) for spec in val.site.config.classes])
    rows = []
    for index in map(int, np.argsort(agreements, kind="stable")[:SHOWN_FRAMES]):
        image = val.shown_image(index)
        mask, reference_mask = evaluation.masks[index], reference.masks[index]
        entropy = _enlarge(reference.entropies[index], reference_mask.shape)
        rows.append(
            [
                (image, names.of(val.frames[index])),
                (paint_mask(reference_mask, palette), "FP32"),
                (paint_mask(mask, palette), f"{title}, {agreements[index]:.2f} % the same"),
                (_paint_changes(image, reference_mask != mask), "pixels that changed"),
                (paint_entropy(entropy), "entropy of FP32"),
            ]
        )
    page.pictures([], rows)


def _enlarge(values: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Repeat values up to a size: three values become 0 0 1 1 2 2 for a side of six."""
    indices = (np.arange(side) * small // side for side, small in zip(size, values.shape))
    return values[np.ix_(*indices)]


def _paint_changes(image: Image, changed: NDArray[np.bool_]) -> Image:
    """Return the image in gray with changed pixels in red."""
    brightness = image.mean(2, keepdims=True) * ((255 - GRAY) / 255) + GRAY
    painted = np.repeat(brightness, 3, 2).astype(np.uint8)
    painted[changed] = CHANGED
    return painted
