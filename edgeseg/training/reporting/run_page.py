"""The page of a finished training, `report.html`, and the picture of val beside it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeseg.html_report import HtmlReport, ReliabilityCurve, Series
from edgeseg.html_report.galleries import class_legend as html_legend
from edgeseg.imaging.array_types import IGNORE, Image
from edgeseg.imaging.drawing import class_legend, image_grid, save_png
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.metrics import Counts, Reliability, format_class_iou, format_interval, iou_of_shown
from edgeseg.models import Network
from edgeseg.models.model_files import load_weights
from edgeseg.progress import ProgressReporter
from edgeseg.site import FrameNames, Site
from edgeseg.training.model_evaluation import normalize_images
from edgeseg.training.reporting.val_pictures import TITLES, shown_places, val_picture_row
from edgeseg.training.training_checkpoint import Row, TrainingState
from edgeseg.training.validation import ShippedWeights, Validation

MOST_FRAMES = 200  # of val that confidence is counted on
LOSSES = frozenset(  # that methods log; what else they log is a share, an accuracy or a plug-in's
    {
        "correction",
        "corrector",
        "detector",
        "extra",
        "imitation",
        "judge",
        "loss",
        "matching",
        "opinion",
        "supervised",
        "unlabelled",
    }
)


@dataclass(frozen=True)
class FinishedRun:
    """A training whose last step is done.

    Attributes:
        folder: Its run folder.
        title: What was trained, in words.
        site: The site of its frames.
        validation: Its val frames.
        network: The network that ships.
        shipped: Its step and its counts on val.
        device: Where it is.
    """

    folder: Path
    title: str
    site: Site
    validation: Validation
    network: Network
    shipped: ShippedWeights
    device: torch.device

    @property
    def counts(self) -> Counts:
        """(C, C) of the network that ships, over the val frames that it was evaluated on."""
        return np.asarray(self.shipped.counts.sum(0))

    @property
    def evaluated(self) -> str:
        """How many val frames that are; stages but the last take some of them."""
        number, frames = len(self.shipped.counts), len(self.validation.frames)
        return f"{number} val frames" if number == frames else f"{number} of {frames} val frames"


def shipped_network(run: Path, teacher: Network, shipped: ShippedWeights, step: int) -> Network:
    """Return the network whose weights ship, in eval mode.

    Args:
        run: The run folder.
        teacher: The averaged network after the last step.
        shipped: Which weights ship.
        step: The last step.
    """
    network = teacher
    if shipped.step != step:
        network = copy.deepcopy(teacher)
        load_weights(network, run / "weights" / "best.safetensors")
    return network.eval()


def count_reliability(run: FinishedRun, report: ProgressReporter) -> Reliability:
    """Count confidence against truth on evaluated val frames, MOST_FRAMES at most, at the logits'
    size.
    """
    counted, validation = Reliability.empty(), run.validation
    evaluated = validation.final_places
    chosen = np.unique(np.linspace(0, len(evaluated) - 1, MOST_FRAMES).round().astype(int))
    report.start(f"looking at val {run.folder.name}", len(chosen))
    for index in chosen:
        image, truth = validation.read(evaluated[index])
        logits = _logits(run, image)
        size = (logits.shape[1], logits.shape[2])
        fit = fit_frame(run.site.config.data.fit, (truth.shape[0], truth.shape[1]), size)
        labels = fit.mask(truth).ravel()
        labelled = labels != IGNORE
        pixels = logits.reshape(len(logits), -1).T[labelled]
        counted += Reliability.count(pixels, labels[labelled])
        report.advance()
    return counted


@torch.inference_mode()
def _logits(run: FinishedRun, image: Image) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return (C, h, w) of an image at its own size."""
    fit = fit_frame(run.site.config.data.fit, image.shape[:2], run.validation.size)
    batch = normalize_images([fit.image(image)], run.network.normalization, run.device)
    return np.asarray(run.network(batch).logits[0].float().cpu().numpy())


def write_run_page(
    run: FinishedRun,
    state: TrainingState,
    reliability: Reliability,
    metrics: Mapping[str, Any],  # Any: the content of metrics.json
) -> None:
    """Write `report.html` and `val.png`."""
    rows = {
        place: val_picture_row(run.site, run.validation, place, run.network, run.device)
        for place in shown_places(len(run.validation.frames))
    }
    _write_picture(run, list(rows.values()))
    frames, config = run.validation.frames, run.site.config
    page = HtmlReport(
        f"{config.name}: {run.title}",
        f"{state.step} steps; everything here is of the weights that ship, those of step "
        f"{run.shipped.step}, on {run.evaluated}.",
    )
    page.tiles(
        [
            (f"{run.shipped.miou:.1f}", f"mIoU on val {format_interval(metrics)}".rstrip()),
            (f"{100 * reliability.error:.1f} %", "calibration error, without temperature"),
            (f"{state.seconds / 60:.0f} min", "of training"),
        ]
    )
    _add_curves(page, state.rows)
    _add_classes(page, run)
    page.heading("What is taken for what")
    page.paragraph("Percent of the pixels of each true class, by what was predicted there.")
    page.confusion(run.counts, config.class_names)
    page.heading("Confidence")
    page.paragraph(
        "How often pixels are right, by how confident the network is of them: below the diagonal "
        "it promises too much. The calibration error is the mean distance. Export divides the "
        "logits by a temperature before it computes the entropy, which mends most of it."
    )
    page.reliability([ReliabilityCurve("the weights that ship", reliability.points())])
    page.heading("Frames of val")
    page.legend(html_legend(config.classes))
    names = FrameNames(run.site)
    page.pictures(
        TITLES,
        [
            [(image, names.of(frames[place]) if not n else "") for n, image in enumerate(row)]
            for place, row in rows.items()
        ],
    )
    page.write(run.folder / "report.html")


def _write_picture(run: FinishedRun, rows: Sequence[Sequence[Image]]) -> None:
    config = run.site.config
    grid = image_grid(rows, TITLES)
    legend = class_legend(config.class_names, config.palette, grid.shape[1])
    save_png(run.folder / "val.png", np.concatenate([grid, legend]))


def _add_curves(page: HtmlReport, rows: Sequence[Row]) -> None:
    page.heading("Training")
    names = sorted({name for row in rows for name in row})
    titles = {"miou_ema": "averaged weights", "miou_student": "student"}
    mious = [_series(rows, name, titles[name]) for name in names if name in titles]
    page.curves(mious, "steps", "mIoU on val")
    losses = [_series(rows, name, name) for name in names if name in LOSSES]
    page.curves([line for line in losses if any(line.y)], "steps", "loss and its parts")
    others = [_series(rows, name, name) for name in names if _is_of_method(name)]
    if others:
        page.curves(others, "steps", "what else the method tells, such as shares")


def _is_of_method(name: str) -> bool:
    """Return whether a figure is a method's own, and no loss: "kept", "upright"."""
    return "/" not in name and name not in LOSSES | {"step", "miou_ema", "miou_student"}


def _series(rows: Sequence[Row], name: str, title: str) -> Series:
    shown = [row for row in rows if np.isfinite(row.get(name, np.nan))]
    return Series(title, [row["step"] for row in shown], [row[name] for row in shown])


def _add_classes(page: HtmlReport, run: FinishedRun) -> None:
    page.heading("Classes")
    counts = run.counts
    total = max(1, int(counts.sum()))
    page.table(
        ["class", "IoU", "pixels of val", "predicted"],
        [
            [
                name,
                format_class_iou(None if np.isnan(value) else float(value)),
                f"{100 * counts[index].sum() / total:.2f} %",
                f"{100 * counts[:, index].sum() / total:.2f} %",
            ]
            for index, (name, value) in enumerate(
                zip(run.site.config.class_names, iou_of_shown(counts))
            )
        ],
    )
