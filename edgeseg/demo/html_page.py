"""The report of the demo: the table, the curves, and what each model sees on frames that nobody
labelled.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from edgeseg.bundle import Bundle
from edgeseg.demo.demo_result import DemoResult, StepOutput
from edgeseg.demo.measurement import (
    BUNDLE_MODELS,
    Segmenter,
    bundle_segmenter,
    model_segmenter,
    read_test_frames,
)
from edgeseg.html_report import HtmlReport, Series
from edgeseg.html_report.galleries import Cell, class_legend, evenly_spaced, prediction_cell
from edgeseg.imaging.drawing import paint_entropy, paint_mask
from edgeseg.metrics import format_class_iou
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.framelog.reader import iter_records
from edgeseg.runtime.framelog.record_format import read_record
from edgeseg.site import Site

SHOWN_FRAMES = 4  # test frames of each season
SHOWN_RECORDS = 12  # of the frame log
RECORD_COLUMNS = 4
Done = dict[str, StepOutput]  # the outputs of the steps by name


def write_demo_page(site: Site, done: Done, result: DemoResult, path: Path) -> None:
    """Write the report of a demo whose other steps are all `done`."""
    counts = done["site"]
    page = HtmlReport(
        "edgeseg demo: a summer at the river, and the autumn after it",
        f"{counts['labelled']} labelled frames from a few fair mornings, {counts['unlabelled']} "
        "unlabelled ones from all summer. Everything here was rendered, trained and measured on "
        "this machine's CPU.",
    )
    _add_headline(page, result)
    _add_table(page, result)
    _add_training(page, site, done)
    _add_summer(page, site, done)
    _add_logged_frames(page, site, done)
    _add_autumn(page, site, done, result)
    _add_gate(page, site, done, result)
    _add_times(page, result)
    page.write(path)


def _add_headline(page: HtmlReport, result: DemoResult) -> None:
    shipped = result.rows[-1]
    tiles = [
        (f"{shipped.summer:.1f}", f"mIoU of {shipped.model} in summer"),
        (f"{shipped.autumn:.1f}", "in autumn, before the round"),
    ]
    if shipped.adapted is not None:
        tiles.append((f"{shipped.adapted:.1f}", "in autumn, after one round"))
    tiles += [
        (f"{shipped.fps:.0f}", "frames a second here"),
        (str(result.logged), "frames that the device sent home"),
    ]
    page.tiles(tiles)


def result_table(result: DemoResult) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the one table."""
    head = [
        "model",
        "mIoU summer",
        "mIoU autumn, before the round",
        "mIoU autumn, after the round",
        "FPS",
    ]
    rows = [
        [
            row.model,
            f"{row.summer:.1f}",
            f"{row.autumn:.1f}",
            "-" if row.adapted is None else f"{row.adapted:.1f}",
            f"{row.fps:.0f}",
        ]
        for row in result.rows
    ]
    return head, rows


def _add_table(page: HtmlReport, result: DemoResult) -> None:
    head, rows = result_table(result)
    figures = [(row.summer, row.autumn, row.adapted or 0.0, row.fps) for row in result.rows]
    best = [
        (int(np.argmax(column)), number) for number, column in enumerate(np.transpose(figures), 1)
    ]
    page.table(head, rows, best)
    page.paragraph(
        "Measured on rendered frames that no model, threshold or gate has seen. FPS is one frame "
        "at a time, scaling included; edge model and INT8 are the files of the bundle, run without "
        "torch. SupOnly has seen labels only."
    )
    page.bars(
        [row.model for row in result.rows],
        ["summer", "autumn, before the round", "autumn, after the round"],
        [[row.summer, row.autumn, row.adapted] for row in result.rows],
        "mIoU",
    )


def _add_training(page: HtmlReport, site: Site, done: Done) -> None:
    page.heading("Training")
    page.paragraph(
        "mIoU on the validation split after every stretch of training (average weights). Both site "
        "models have had the same labels and the same number of steps; one of them has also seen "
        "the footage."
    )
    page.curves(list(_training_curves(site.root, done)), "steps", "mIoU on val")


def _training_curves(root: Path, done: Done) -> Iterator[Series]:
    """Yield the curve of every training that has one; a round that was stopped has fewer."""
    runs = {
        "SupOnly": done["suponly"]["run"],
        "semi-supervised": done["semi"]["run"],
        "edge model": done["distill"]["run"],
        "round, site model": f"{done['round']['folder']}/train",
        "round, edge model": f"{done['round']['folder']}/distill",
    }
    for name, run in runs.items():
        source = root / run / "results.csv"
        if source.exists():
            rows = list(csv.DictReader(source.read_text("utf-8").splitlines()))
            steps = [float(row["step"]) for row in rows]
            yield Series(name, steps, [float(row["miou_ema"]) for row in rows])


def _add_summer(page: HtmlReport, site: Site, done: Done) -> None:
    page.heading("Summer: what footage adds to a few labels")
    page.paragraph(
        "Test frames, evenly spaced over the summer; under each prediction its own mIoU."
    )
    with ExitStack() as stack:
        models = {
            "SupOnly": model_segmenter(site.root / done["suponly"]["run"]),
            "semi-supervised": model_segmenter(site.root / done["semi"]["run"]),
            **dict(_open_bundle(stack, site, site.root / done["export"]["bundle"])),
        }
        _add_gallery(page, site, "summer", models, with_entropy=[next(reversed(models))])
    page.legend(class_legend(site.config.classes))


def _add_autumn(page: HtmlReport, site: Site, done: Done, result: DemoResult) -> None:
    page.heading("Autumn: before and after the round")
    page.paragraph(
        "Leaves have turned, the sun is low, the river high and brown, the mast leans and nobody "
        "has wiped the lens. The round has learned from the frames above without a single new "
        "label for training."
    )
    with ExitStack() as stack:
        before = dict(_open_bundle(stack, site, site.root / done["export"]["bundle"]))
        shipped, model = next(reversed(before.items()))
        models = {f"{shipped} before": model}
        if done["round"]["bundle"] is not None:
            after = dict(_open_bundle(stack, site, site.root / done["round"]["bundle"]))
            models[f"{shipped} after"] = after[shipped]
        _add_gallery(page, site, "autumn", models, with_entropy=list(models))
    page.legend(class_legend(site.config.classes))
    rows = []
    name = result.rows[-1].model
    for label, step in (("before the round", "before"), ("after the round", "after")):
        figures = done[step].get(name)
        if figures is not None:
            values = [
                format_class_iou(value, split="autumn") for value in figures["autumn"]["per_class"]
            ]
            rows.append([f"{name}, {label}", *values])
    page.table(["IoU in autumn", *site.config.class_names], rows)


def _open_bundle(stack: ExitStack, site: Site, path: Path) -> Iterator[tuple[str, Segmenter]]:
    """Yield the bundle's files by name, INT8 last; they are closed with `stack`."""
    bundle = Bundle.open(path)
    for name, flavour in BUNDLE_MODELS:
        if bundle.holds(flavour):
            runner = open_runner(bundle, "cpu", flavour, site.config.infer.threads)
            yield name, bundle_segmenter(stack.enter_context(runner))


def _add_gallery(
    page: HtmlReport,
    site: Site,
    season: str,
    models: dict[str, Segmenter],
    *,
    with_entropy: Sequence[str],
) -> None:
    """Add rows of frame, truth and predictions, and the entropy of some of the models."""
    frames = list(read_test_frames(site.root, season))
    palette = site.config.palette
    rows: list[list[Cell]] = []
    for index in evenly_spaced(len(frames), SHOWN_FRAMES):
        image, truth = frames[index]
        row: list[Cell] = [(image, ""), (paint_mask(truth, palette), "")]
        entropy_cells: list[Cell] = []
        for name, model in models.items():
            mask, entropy = model(image)
            row.append(prediction_cell(truth, mask, palette))
            if name in with_entropy:
                width_height = image.shape[1], image.shape[0]
                full_size = cv2.resize(entropy, width_height, interpolation=cv2.INTER_LINEAR)
                entropy_cells.append((paint_entropy(np.asarray(full_size, np.float32)), ""))
        rows.append(row + entropy_cells)
    entropy_heads = (f"entropy, {name}" for name in with_entropy)
    page.pictures(["frame", "truth", *models, *entropy_heads], rows)


def _add_logged_frames(page: HtmlReport, site: Site, done: Done) -> None:
    page.heading("What the device sent home")
    infer = done["infer"]
    page.paragraph(
        f"The bundle ran over {infer['frames']} autumn frames at {infer['fps']:.0f} FPS, with "
        f"decoding, overlay and frame log, and logged {infer['logged']} of them: those with a high "
        "share of unreliable pixels (the score), and a random control stream. These have the "
        "highest scores:"
    )
    records = [read_record(path) for path in iter_records(site.root / "device" / "log")]
    records.sort(key=lambda record: -record.header.score)
    cells = [
        (record.image(), f"score {record.header.score:.2f}, {record.header.reason}")
        for record in records[:SHOWN_RECORDS]
    ]
    starts = range(0, len(cells), RECORD_COLUMNS)
    page.pictures([], [cells[start : start + RECORD_COLUMNS] for start in starts])


def _add_gate(page: HtmlReport, site: Site, done: Done, result: DemoResult) -> None:
    page.heading("The gate")
    number = len(site.frames("gate"))
    page.paragraph(
        f"The round was {result.verdict}: {result.reason}. The challenger is judged on {number} "
        f"frames of `gate`; {number - done['site']['gate']} of them the owner has labelled in "
        "autumn. They judge bundles and never train."
    )
    page.paragraph("To go back to the bundle before: `edgeseg adapt --rollback`.")


def _add_times(page: HtmlReport, result: DemoResult) -> None:
    page.heading("Where the time went")
    steps = [(name, spent) for name, spent in result.seconds.items() if spent]
    page.table(["step", "seconds"], [[name, f"{spent:.0f}"] for name, spent in steps])
    page.paragraph(
        f"The site is `{result.folder}`; its overlay video of the autumn is `device/autumn.mp4`. "
        "Go into it and try `edgeseg status`, `edgeseg log ls device/log`, `edgeseg bench` and "
        "`edgeseg adapt --status`."
    )
