"""The report of a comparison: the table, the curves, every class, and what each model sees on the
same frames.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.compare.plan import ComparisonSetup
from edgeseg.compare.recommendation import Recommendation
from edgeseg.compare.results import RARE_SHARE, SUPERVISED_ONLY, MethodResult, rare_classes
from edgeseg.config import TrainConfig
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.html_report import HtmlReport, Series
from edgeseg.imaging.drawing import paint_mask
from edgeseg.imaging.resize import resize_image, resize_mask
from edgeseg.metrics import block_length, confusion_matrix, iou_margins, mean_gain_interval, miou
from edgeseg.models.model_files import load_model
from edgeseg.site import Site
from edgeseg.training.model_evaluation import predict

SHOWN = 4  # val frames
ACROSS = 6  # pictures side by side at most
DRIFT = 0.5  # divergence of pseudo-labels from labels beyond which something is wrong
Cell = tuple[NDArray[np.uint8], str]


def write_comparison_page(
    site: Site,
    found: Sequence[MethodResult],
    verdict: Recommendation,
    facts: ComparisonSetup,
    path: Path,
) -> None:
    """Write the report of a comparison whose runs are over."""
    config = facts.config
    page = HtmlReport(
        f"{site.config.name}: {len(found)} methods compared",
        f"{_number(facts.seeds, 'seed')} each, {config.steps} steps at {config.imgsz[0]}x{config.imgsz[1]} with "
        f"{config.encoder}; {facts.frames['labelled']} labelled and {facts.frames['unlabelled']} unlabelled frames, "
        f"measured on {facts.frames['val']} val frames.",
    )
    able = [each for each in found if each.runs]
    _headline(page, able, verdict)
    _table(page, found, facts)
    if able:
        page.heading("Training")
        page.paragraph(
            "mIoU on val of the averaged weights"
            + (
                ", mean over seeds; the band spans the lowest and the highest of them."
                if facts.seeds > 1
                else "."
            )
        )
        page.curves([learning_curve(each) for each in able], "steps", "mIoU on val")
        _classes(page, able, facts)
        _pictures(page, site, able, config)
    _settings(page, facts)
    page.write(path)


def table_header(found: Sequence[MethodResult]) -> list[str]:
    """Column heads of the table."""
    on_gpu = any(run.on_gpu for each in found for run in each.runs)
    return [
        "method",
        "mIoU",
        "sd",
        "gain",
        "rare",
        "s a step",
        "GPU GB" if on_gpu else "GB",
        "kept",
        "seeds",
    ]


def table_cells(found: Sequence[MethodResult], rare: Sequence[str]) -> list[list[str]]:
    """The table's rows for people; the last cell counts the seeds that failed, whose reasons are
    too long for it.
    """
    floor = next((each for each in found if each.method == SUPERVISED_ONLY and each.runs), None)
    rows = []
    for each in found:
        if not each.runs:
            rows.append([each.method, *["-"] * 7, f"{len(each.failed)} failed"])
            continue
        gain = "-" if floor is None or each is floor else f"{each.mean - floor.mean:+.2f}"
        memory = "-" if each.memory is None else f"{each.memory / 1e9:.2f}"
        kept = "-" if each.kept is None else f"{100 * each.kept:.0f} %"
        seeds = str(len(each.runs)) + (f", {len(each.failed)} failed" if each.failed else "")
        rows.append(
            [
                each.method,
                f"{each.mean:.2f}",
                _figure(each.spread, 2),
                gain,
                _figure(each.mean_iou_of(rare)),
                f"{each.seconds_per_step:.3f}",
                memory,
                kept,
                seeds,
            ]
        )
    return rows


def _headline(page: HtmlReport, able: Sequence[MethodResult], verdict: Recommendation) -> None:
    chosen = next((each for each in able if each.method == verdict.method), None)
    floor = next((each for each in able if each.method == SUPERVISED_ONLY), None)
    if chosen is not None:
        tiles = [(chosen.method, "recommended"), (f"{chosen.mean:.1f}", "its mIoU on val")]
        best = next((each for each in able if each is not floor), None)
        if floor is not None and best is not None:
            shown = best if chosen is floor else chosen
            tiles.append(
                (f"{shown.mean - floor.mean:+.1f}", f"{shown.method} over {SUPERVISED_ONLY}")
            )
        if verdict.noise is not None:
            tiles.append((f"{verdict.noise:.1f}", "points that chance alone may do"))
        page.tiles(tiles)
    texts = [f"{text[0].upper()}{text[1:]}." for text in verdict.sentences]
    page.paragraph(texts[0])
    if texts[1:]:
        page.paragraph(" ".join(texts[1:]))
    _chance_of_frames(page, able, chosen, floor)


def _chance_of_frames(
    page: HtmlReport,
    able: Sequence[MethodResult],
    chosen: MethodResult | None,
    floor: MethodResult | None,
) -> None:
    """What the verdict's rule leaves out: another set of val frames could say something else."""
    rival = next((each for each in able if each is not floor), None) if chosen is floor else chosen
    if rival is None or floor is None:
        return
    mine, theirs = rival.counts(), floor.counts()
    if mine is None or theirs is None:
        return
    gain = mean_gain_interval(mine, theirs, block=block_length(mine.shape[1]))
    page.paragraph(
        f"So much for the seeds. The choice of val frames is chance as well: drawn anew, neighbors together, they "
        f"put {rival.method} between {gain.low:+.1f} and {gain.high:+.1f} points from {SUPERVISED_ONLY} (95 %, mean over seeds)."
    )


def _table(page: HtmlReport, found: Sequence[MethodResult], facts: ComparisonSetup) -> None:
    rare = rare_classes(facts.pixels)
    page.heading("Where the methods stand")
    page.table(
        table_header(found),
        table_cells(found, rare),
        best=[(0, 1)] if found and found[0].runs else [],
    )
    page.paragraph(
        "mIoU is of the averaged weights after the last step, mean and standard deviation over seeds; gain is over "
        f"{SUPERVISED_ONLY}, which has seen the labels alone. Rare: the mean IoU over {', '.join(rare)} "
        f"(below {100 * RARE_SHARE:.0f} % of the labelled pixels, or the rarest). GB: the most memory that a run has "
        "held. Kept: pseudo-labels used at the end."
    )
    for each in found:
        for seed, reason in each.failed.items():
            page.paragraph(f"{each.method} with seed {seed} failed: {reason}.")


def learning_curve(each: MethodResult) -> Series:
    """Mean over the seeds that were evaluated at a step, from the lowest to the highest."""
    at: dict[float, list[float]] = {}
    for run in each.runs:
        for step, value in run.curve:
            at.setdefault(step, []).append(value)
    steps = sorted(at)
    band = [(min(at[step]), max(at[step])) for step in steps] if len(each.runs) > 1 else []
    return Series(each.method, steps, [statistics.mean(at[step]) for step in steps], band)


def _classes(page: HtmlReport, able: Sequence[MethodResult], facts: ComparisonSetup) -> None:
    page.heading("Every class")
    total = max(1, sum(facts.pixels.values()))
    drawn = [each.counts() for each in able]
    margins = [
        None if each is None else iou_margins(each, block=block_length(each.shape[1]))
        for each in drawn
    ]
    rows, best = [], []
    for place, (name, number) in enumerate(facts.pixels.items()):
        values = [each.class_iou(name) for each in able]
        known = [value for value in values if value is not None]
        best += [
            (place, 2 + n)
            for n, value in enumerate(values)
            if known and value == max(known) >= 0.05
        ]
        rows.append(
            [
                name,
                f"{100 * number / total:.2f} %",
                *map(
                    _cell,
                    values,
                    [None if each is None else float(each[place]) for each in margins],
                ),
            ]
        )
    page.table(["class", "labelled pixels", *(each.method for each in able)], rows, best)
    page.paragraph(
        "IoU on val after the last step, mean over seeds; behind ± half the 95 % interval over val frames drawn anew, "
        "neighbors together, for the frames of a video are near-copies. "
        "A class that val does not have shows a dash."
    )
    for each in able:
        drift = max(
            (pseudo_label_divergence(run.pseudo, facts.pixels) for run in each.runs), default=0.0
        )
        if drift > DRIFT:
            page.paragraph(
                f"The pseudo-labels of {each.method} have drifted from the labels (divergence {drift:.1f}, {DRIFT} is "
                "much): look whether the footage shows another mix of classes than the labelled frames."
            )


def pseudo_label_divergence(pseudo: Mapping[str, float], pixels: Mapping[str, int]) -> float:
    """KL divergence of the pseudo-labels' classes from the labels'; 0 for a method without
    pseudo-labels.
    """
    total = sum(pixels.values()) + len(
        pixels
    )  # one pixel more of each: a class without labels stays finite
    return sum(
        share * math.log(share * total / (pixels[name] + 1))
        for name, share in pseudo.items()
        if share and pixels
    )


def _pictures(
    page: HtmlReport, site: Site, able: Sequence[MethodResult], config: TrainConfig
) -> None:
    page.heading("The same frames")
    seed = able[0].runs[0].seed
    page.paragraph(
        f"Frames spread over val, seed {seed} of every method (its first finished one where that failed); the figure "
        "is the mIoU on this frame alone."
    )
    palette, classes = site.config.palette, len(site.config.classes)
    page.legend([(spec.name, spec.color) for spec in site.config.classes])
    frames = list(_frames(site, config.imgsz))
    rows: list[list[Cell]] = [
        [(image, "frame"), (paint_mask(truth, palette), "truth")] for image, truth in frames
    ]
    for each in able:  # one model in memory at a time
        module = load_model(each.runs[0].path, "last").module
        for (image, truth), line in zip(frames, rows):
            mask = predict(module, [image])[0][0].numpy()
            line.append(
                (
                    paint_mask(mask, palette),
                    f"{each.method} {miou(confusion_matrix(truth, mask, classes)):.1f}",
                )
            )
    for line in rows:
        page.pictures([], list(even_rows(line)))


def _frames(
    site: Site, size: tuple[int, int]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Image and truth at training size of frames spread over val."""
    frames = site.frames("val")
    for place in np.unique(np.linspace(0, len(frames) - 1, SHOWN + 2)[1:-1].round().astype(int)):
        image, mask = read_site_frame(site, frames[place])
        assert mask is not None, f"{frames[place].id} is a val frame without mask"
        yield resize_image(image, size), resize_mask(mask, size)


def even_rows(cells: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
    """Rows of about the same length."""
    rows = math.ceil(len(cells) / ACROSS)
    width = math.ceil(len(cells) / rows)
    for start in range(0, len(cells), width):
        yield cells[start : start + width]


def _settings(page: HtmlReport, facts: ComparisonSetup) -> None:
    page.heading("Configuration and machine")
    page.table(["machine", ""], [[name, value] for name, value in facts.machine.items()])
    page.paragraph(
        "Common to all runs; the file `config.toml` in the folder of each holds all of its configuration."
    )
    values = _flat(facts.config.model_dump(mode="json", exclude={"method", "seed"}))
    page.table(["key", "value"], [[name, str(value)] for name, value in values])


def _flat(
    table: Mapping[str, Any], path: str = "train"
) -> Iterator[tuple[str, Any]]:  # Any: configuration values
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.{name}")
        else:
            yield f"{path}.{name}", value


def _number(amount: int, word: str) -> str:
    return f"{amount} {word}{'' if amount == 1 else 's'}"


def _cell(value: float | None, margin: float | None) -> str:
    return _figure(value) if value is None or margin is None else f"{value:.1f} ± {margin:.1f}"


def _figure(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
