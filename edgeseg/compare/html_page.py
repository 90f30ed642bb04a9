"""The report of a comparison: the table, the curves, every class, and what each model sees on the
same frames.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.compare.comparison_folder import ComparisonSetup
from edgeseg.compare.frame_noise import frame_gain, judged_pair
from edgeseg.compare.recommendation import Recommendation, best_rival
from edgeseg.compare.result_table import table_cells, table_header
from edgeseg.compare.results import (
    RARE_SHARE,
    SUPERVISED_ONLY,
    MethodResult,
    find_method,
    rare_classes,
)
from edgeseg.config import TrainConfig
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.html_report import HtmlReport, Series
from edgeseg.html_report.galleries import Cell, class_legend, evenly_spaced, prediction_cell
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.drawing import paint_mask
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.metrics import Counts, format_class_iou, iou_margins
from edgeseg.models.model_files import load_model
from edgeseg.site import FrameNames, Site
from edgeseg.training.model_evaluation import predict

SHOWN_FRAMES = 4  # of val
MAX_COLUMNS = 6  # pictures side by side
DRIFT_LIMIT = 0.5  # divergence of pseudo-labels from labels beyond which something is wrong
BEST_TOLERANCE = 0.05  # percent; a class whose best IoU rounds to 0.0 has no best method


def write_comparison_page(
    site: Site,
    results: Sequence[MethodResult],
    recommendation: Recommendation,
    setup: ComparisonSetup,
    path: Path,
) -> None:
    """Write the report of a comparison whose runs are over."""
    config = setup.config
    page = HtmlReport(
        f"{site.config.name}: {len(results)} methods compared",
        f"{_count(setup.seeds, 'seed')} each, {config.steps} steps at "
        f"{config.imgsz[0]}x{config.imgsz[1]} with {config.encoder}; "
        f"{setup.frames['labelled']} labelled and {setup.frames['unlabelled']} unlabelled frames, "
        f"measured on {setup.frames['val']} val frames.",
    )
    finished = [result for result in results if result.runs]
    _add_headline(page, finished, recommendation, setup.val_blocks)
    _add_table(page, results, setup)
    if finished:
        _add_curves(page, finished, setup)
        _add_classes(page, finished, setup)
        _add_pictures(page, site, finished, config)
    _add_settings(page, setup)
    page.write(path)


def _add_headline(
    page: HtmlReport,
    finished: Sequence[MethodResult],
    recommendation: Recommendation,
    blocks: Sequence[int],
) -> None:
    chosen = find_method(finished, recommendation.method)
    baseline = find_method(finished, SUPERVISED_ONLY)
    if chosen is not None:
        tiles = [(chosen.method, "recommended"), (f"{chosen.mean:.1f}", "its mIoU on val")]
        best = best_rival(finished)
        if baseline is not None and best is not None:
            shown = best if chosen is baseline else chosen
            gain = f"{shown.mean - baseline.mean:+.1f}"
            tiles.append((gain, f"{shown.method} over {SUPERVISED_ONLY}"))
        if recommendation.noise is not None:
            tiles.append((f"{recommendation.noise:.1f}", "points that chance alone may do"))
        page.tiles(tiles)
    first, *others = [f"{text[0].upper()}{text[1:]}." for text in recommendation.sentences]
    page.paragraph(first)
    if others:
        page.paragraph(" ".join(others))
    _add_frame_chance(page, finished, chosen, blocks)


def _add_frame_chance(
    page: HtmlReport,
    finished: Sequence[MethodResult],
    chosen: MethodResult | None,
    blocks: Sequence[int],
) -> None:
    """Tell what the rule of the recommendation leaves out: another set of val frames could say
    something else.
    """
    pair = judged_pair(finished, chosen.method if chosen else None)
    gain = frame_gain(*pair, blocks) if pair else None
    if pair is None or gain is None:
        return
    page.paragraph(
        "So much for the seeds. The choice of val frames is chance as well: drawn anew, neighbors "
        f"together, they put {pair[0].method} between {gain.low:+.1f} and {gain.high:+.1f} points "
        f"from {SUPERVISED_ONLY} (95 %, mean over seeds)."
    )


def _add_table(page: HtmlReport, results: Sequence[MethodResult], setup: ComparisonSetup) -> None:
    rare = rare_classes(setup.pixels)
    page.heading("Where the methods stand")
    best = [(0, 1)] if results and results[0].runs else []
    cells = table_cells(results, rare, setup.val_blocks, setup.ceiling)
    page.table(table_header(results, setup.ceiling), cells, best=best)
    page.paragraph(
        "mIoU is of the averaged weights after the last step, mean and standard deviation over "
        "seeds; ± val is half the 95 % interval over val frames drawn anew, neighbors together; "
        f"gain is over {SUPERVISED_ONLY}, which has seen the labels alone. Rare: the mean "
        f"IoU over {', '.join(rare)} (below {100 * RARE_SHARE:.0f} % of the labelled pixels, or "
        "the rarest). GB: the most memory that a run has held. Kept: pseudo-labels used at the end."
    )
    if setup.ceiling is not None:
        page.paragraph(
            f"Closed: the share of the way from {SUPERVISED_ONLY} to the ceiling, which is mIoU "
            f"{setup.ceiling:.2f}."
        )
    for result in results:
        for seed, reason in result.failed.items():
            page.paragraph(f"{result.method} with seed {seed} failed: {reason}.")


def _add_curves(page: HtmlReport, finished: Sequence[MethodResult], setup: ComparisonSetup) -> None:
    page.heading("Training")
    band = ", mean over seeds; the band spans the lowest and the highest of them"
    page.paragraph(f"mIoU on val of the averaged weights{band if setup.seeds > 1 else ''}.")
    page.curves([learning_curve(result) for result in finished], "steps", "mIoU on val")


def learning_curve(result: MethodResult) -> Series:
    """Return the mean over the seeds that were evaluated at a step, from the lowest to the
    highest.
    """
    values: dict[float, list[float]] = {}
    for run in result.runs:
        for step, miou in run.curve:
            values.setdefault(step, []).append(miou)
    steps = sorted(values)
    means = [statistics.mean(values[step]) for step in steps]
    band = [(min(values[step]), max(values[step])) for step in steps]
    return Series(result.method, steps, means, band if len(result.runs) > 1 else [])


def _add_classes(
    page: HtmlReport, finished: Sequence[MethodResult], setup: ComparisonSetup
) -> None:
    page.heading("Every class")
    total = max(1, sum(setup.pixels.values()))
    margins = [_class_margins(result.counts(), setup.val_blocks) for result in finished]
    rows, best = [], []
    for number, (name, pixels) in enumerate(setup.pixels.items()):
        values = [result.class_iou(name) for result in finished]
        highest = max((value for value in values if value is not None), default=0.0)
        if highest >= BEST_TOLERANCE:
            # The first two columns hold the class and its share of the labelled pixels.
            best += [(number, 2 + n) for n, value in enumerate(values) if value == highest]
        cells = [
            _iou_cell(value, None if margin is None else float(margin[number]))
            for value, margin in zip(values, margins)
        ]
        rows.append([name, f"{100 * pixels / total:.2f} %", *cells])
    methods = [result.method for result in finished]
    page.table(["class", "labelled pixels", *methods], rows, best)
    page.paragraph(
        "IoU on val after the last step, mean over seeds; behind ± half the 95 % interval over val "
        "frames drawn anew, neighbors together, for the frames of a video are near-copies. "
        "A class that val does not show is in no mean, and how well it is found stays open."
    )
    for result in finished:
        drifts = [pseudo_label_divergence(run.pseudo, setup.pixels) for run in result.runs]
        drift = max(drifts, default=0.0)
        if drift > DRIFT_LIMIT:
            page.paragraph(
                f"The pseudo-labels of {result.method} have drifted from the labels (divergence "
                f"{drift:.1f}, {DRIFT_LIMIT} is much): look whether the footage shows another mix "
                "of classes than the labelled frames."
            )


def _class_margins(counts: Counts | None, blocks: Sequence[int]) -> Any:  # Any: (C,) or None
    """Return half the 95 % interval of every class; None where a run has not left its counts."""
    if counts is None or counts.shape[1] != len(blocks):
        return None
    return iou_margins(counts, block=blocks)


def pseudo_label_divergence(pseudo: Mapping[str, float], pixels: Mapping[str, int]) -> float:
    """Return the KL divergence of the pseudo-labels' classes from the labels', in nats.

    It is 0 for a method without pseudo-labels.

    Args:
        pseudo: The share of each class among the pseudo-labels.
        pixels: The labelled pixels of each class.
    """
    # One pixel more of each: the divergence stays finite for a class without labels.
    total = sum(pixels.values()) + len(pixels)
    return sum(
        share * math.log(share * total / (pixels[name] + 1))
        for name, share in pseudo.items()
        if share and pixels
    )


def _add_pictures(
    page: HtmlReport, site: Site, finished: Sequence[MethodResult], config: TrainConfig
) -> None:
    page.heading("The same frames")
    seed = finished[0].runs[0].seed
    page.paragraph(
        f"Frames spread over val, seed {seed} of every method (its first finished one where that "
        "failed); the figure is the mIoU on this frame alone."
    )
    palette = site.config.palette
    page.legend(class_legend(site.config.classes))
    frames = list(_read_shown_frames(site, config.imgsz))
    rows: list[list[Cell]] = [
        [(image, name), (paint_mask(truth, palette), "truth")] for name, image, truth in frames
    ]
    for result in finished:  # one model in memory at a time
        module = load_model(result.runs[0].path, "last").module
        for (_, image, truth), row in zip(frames, rows):
            mask = predict(module, [image])[0][0].numpy()
            row.append(prediction_cell(truth, mask, palette, f"{result.method} "))
    for row in rows:
        page.pictures([], list(even_rows(row)))


def _read_shown_frames(site: Site, size: tuple[int, int]) -> Iterator[tuple[str, Image, Mask]]:
    """Yield name, image and truth at training size of frames spread over val."""
    frames, names = site.frames("val"), FrameNames(site)
    for index in evenly_spaced(len(frames), SHOWN_FRAMES):
        image, mask = read_site_frame(site, frames[index])
        assert mask is not None, f"{frames[index].id} is a val frame without mask"
        fit = fit_frame(site.config.data.fit, mask.shape, size)
        yield names.of(frames[index]), fit.image(image), fit.mask(mask)


def even_rows(cells: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
    """Yield rows of about the same length, MAX_COLUMNS at most: 13 cells make 5, 5 and 3."""
    number = math.ceil(len(cells) / MAX_COLUMNS)
    width = math.ceil(len(cells) / number)
    for start in range(0, len(cells), width):
        yield cells[start : start + width]


def _add_settings(page: HtmlReport, setup: ComparisonSetup) -> None:
    page.heading("Configuration and machine")
    page.table(["machine", ""], [[name, value] for name, value in setup.machine.items()])
    page.paragraph(
        "Common to all runs; the file `config.toml` in the folder of each holds all of its "
        "configuration, with the settings of its own that stand in brackets behind a method."
    )
    values = _flatten(setup.config.model_dump(mode="json", exclude={"method", "seed"}), "train")
    page.table(["key", "value"], [[name, str(value)] for name, value in values])


def _flatten(
    table: Mapping[str, Any], path: str
) -> Iterator[tuple[str, Any]]:  # Any: configuration values
    """Yield the keys with dots between, such as "train.u2pl.alpha", and their values."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}.{name}")
        else:
            yield f"{path}.{name}", value


def _count(amount: int, word: str) -> str:
    return f"{amount} {word}{'' if amount == 1 else 's'}"


def _iou_cell(value: float | None, margin: float | None) -> str:
    if value is None or margin is None:
        return format_class_iou(value)
    return f"{value:.1f} ± {margin:.1f}"
