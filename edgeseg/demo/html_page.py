"""The demo's report: the table, the curves, and what each model sees on frames that nobody
labelled.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgeseg.bundle import Bundle, Flavour
from edgeseg.bundle.flavours import FP32, INT8_CPU
from edgeseg.demo.measurement import Segmenter, bundle_model, read_test_frames, torch_model
from edgeseg.html_report import HtmlReport, Series
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.drawing import paint_entropy, paint_mask
from edgeseg.metrics import confusion_matrix, miou
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.framelog.reader import iter_records
from edgeseg.runtime.framelog.record_format import read_record
from edgeseg.site import Site

if TYPE_CHECKING:
    from edgeseg.demo.demo_result import DemoResult

SHOWN = 4  # test frames of each season
LOGGED = 12
Cell = tuple[Image, str]
Done = dict[str, dict[str, Any]]  # Any: what json can hold


def write_demo_page(site: Site, done: Done, result: DemoResult, path: Path) -> None:
    """Write the report of a demo whose steps are all `done`."""
    counts = done["site"]
    page = HtmlReport(
        "edgeseg demo: a summer at the river, and the autumn after it",
        f"{counts['labelled']} labelled frames from a few fair mornings, {counts['unlabelled']} unlabelled ones from "
        "all summer. Everything here was rendered, trained and measured on this machine's CPU.",
    )
    _headline(page, result)
    _table(page, result)
    page.heading("Training")
    page.paragraph(
        "mIoU on the validation split after every stretch of training (average weights). Both site models have had the "
        "same labels and the same number of steps; one of them has also seen the footage."
    )
    page.curves(list(_curves(site.root, done)), "steps", "mIoU on val")
    _summer(page, site, done)
    _logged(page, site, done)
    _autumn(page, site, done, result)
    _gate(page, site, done, result)
    _times(page, result)
    page.write(path)


def _headline(page: HtmlReport, result: DemoResult) -> None:
    last = result.rows[-1]
    tiles = [
        (f"{last.summer:.1f}", f"mIoU of {last.model} in summer"),
        (f"{last.autumn:.1f}", "in autumn, before the round"),
    ]
    if last.adapted is not None:
        tiles.append((f"{last.adapted:.1f}", "in autumn, after one round"))
    tiles += [
        (f"{last.fps:.0f}", "frames a second here"),
        (str(result.logged), "frames that the device sent home"),
    ]
    page.tiles(tiles)


def result_table(result: DemoResult) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the one table."""
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


def _table(page: HtmlReport, result: DemoResult) -> None:
    head, rows = result_table(result)
    figures = [(row.summer, row.autumn, row.adapted or 0.0, row.fps) for row in result.rows]
    best = [
        (int(np.argmax(column)), number) for number, column in enumerate(np.transpose(figures), 1)
    ]
    page.table(head, rows, best)
    page.paragraph(
        "Measured on rendered frames that no model, threshold or gate has seen. FPS is one frame at a time, scaling "
        "included; edge model and INT8 are the files of the bundle, run without torch. SupOnly has seen labels only."
    )
    groups = [row.model for row in result.rows]
    values = [[row.summer, row.autumn, row.adapted] for row in result.rows]
    page.bars(
        groups, ["summer", "autumn, before the round", "autumn, after the round"], values, "mIoU"
    )


def _curves(root: Path, done: Done) -> Iterator[Series]:
    folders = {
        "SupOnly": done["suponly"]["run"],
        "semi-supervised": done["semi"]["run"],
        "edge model": done["distill"]["run"],
    }
    folders |= {
        "round, site model": f"{done['round']['folder']}/train",
        "round, edge model": f"{done['round']['folder']}/distill",
    }
    for name, folder in folders.items():
        source = root / folder / "results.csv"
        if source.exists():
            rows = list(csv.DictReader(source.read_text().splitlines()))
            yield Series(
                name, [float(row["step"]) for row in rows], [float(row["miou_ema"]) for row in rows]
            )


def _summer(page: HtmlReport, site: Site, done: Done) -> None:
    page.heading("Summer: what footage adds to a few labels")
    page.paragraph(
        "Test frames, evenly spaced over the summer; under each prediction its own mIoU."
    )
    with ExitStack() as stack:
        models = {"SupOnly": torch_model(site.root / done["suponly"]["run"])}
        models["semi-supervised"] = torch_model(site.root / done["semi"]["run"])
        models |= dict(_bundle_models(stack, site, site.root / done["export"]["bundle"]))
        _gallery(page, site, "summer", models, [next(reversed(models))])
    page.legend([(spec.name, spec.color) for spec in site.config.classes])


def _autumn(page: HtmlReport, site: Site, done: Done, result: DemoResult) -> None:
    page.heading("Autumn: before and after the round")
    page.paragraph(
        "Leaves have turned, the sun is low, the river high and brown, the mast leans and nobody has wiped the lens. "
        "The round has learned from the frames above without a single new label for training."
    )
    with ExitStack() as stack:
        before = dict(_bundle_models(stack, site, site.root / done["export"]["bundle"]))
        name, model = next(reversed(before.items()))
        models = {f"{name} before": model}
        if done["round"]["bundle"] is not None:
            after = dict(_bundle_models(stack, site, site.root / done["round"]["bundle"]))
            models[f"{name} after"] = after[name]
        _gallery(page, site, "autumn", models, list(models))
    page.legend([(spec.name, spec.color) for spec in site.config.classes])
    head = ["IoU in autumn", *(f"{spec.name}" for spec in site.config.classes)]
    rows = []
    for label, step in (("before the round", "before"), ("after the round", "after")):
        figures = done[step].get(result.rows[-1].model)
        if figures is not None:
            rows.append(
                [
                    f"{result.rows[-1].model}, {label}",
                    *(f"{value:.1f}" for value in figures["autumn"]["per_class"]),
                ]
            )
    page.table(head, rows)


def _bundle_models(stack: ExitStack, site: Site, path: Path) -> Iterator[tuple[str, Segmenter]]:
    """The bundle's graphs by name, INT8 last."""
    bundle = Bundle.open(path)
    flavours: tuple[tuple[str, Flavour], ...] = (("edge model", FP32), ("INT8", INT8_CPU))
    for name, flavour in flavours:
        if bundle.holds(flavour):
            runner = open_runner(bundle, "cpu", flavour, site.config.infer.threads)
            yield name, bundle_model(stack.enter_context(runner))


def _gallery(
    page: HtmlReport, site: Site, season: str, models: dict[str, Segmenter], unsure: Sequence[str]
) -> None:
    """Rows of frame, truth, predictions, and the entropy of the models named in `unsure`."""
    frames = list(read_test_frames(site.root, season))
    palette, classes = site.config.palette, len(site.config.classes)
    rows: list[list[Cell]] = []
    for place in np.unique(np.linspace(0, len(frames) - 1, SHOWN + 2).round().astype(int)[1:-1]):
        image, mask = frames[place]
        row: list[Cell] = [(image, ""), (paint_mask(mask, palette), "")]
        heats: list[Cell] = []
        for name, model in models.items():
            found, entropy = model(image)
            row.append(
                (paint_mask(found, palette), f"{miou(confusion_matrix(mask, found, classes)):.1f}")
            )
            if name in unsure:
                grown = cv2.resize(
                    entropy, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR
                )
                heats.append((paint_entropy(np.asarray(grown, np.float32)), ""))
        rows.append(row + heats)
    page.pictures(["frame", "truth", *models, *(f"entropy, {name}" for name in unsure)], rows)


def _logged(page: HtmlReport, site: Site, done: Done) -> None:
    page.heading("What the device sent home")
    infer = done["infer"]
    page.paragraph(
        f"The bundle ran over {infer['frames']} autumn frames at {infer['fps']:.0f} FPS, with decoding, overlay and "
        f"frame log, and logged {infer['logged']} of them: those with a high share of unreliable pixels (the score), "
        "and a random control stream. These have the highest scores:"
    )
    records = [read_record(path) for path in iter_records(site.root / "device" / "log")]
    records.sort(key=lambda record: -record.header.score)
    cells = [
        (record.image(), f"score {record.header.score:.2f}, {record.header.reason}")
        for record in records[:LOGGED]
    ]
    page.pictures([], [cells[start : start + 4] for start in range(0, len(cells), 4)])


def _gate(page: HtmlReport, site: Site, done: Done, result: DemoResult) -> None:
    page.heading("The gate")
    gate = len(site.frames("gate"))
    page.paragraph(
        f"The round was {result.verdict}: {result.reason}. The challenger is judged on {gate} frames of `gate`; "
        f"{gate - done['site']['gate']} of them the owner has labelled in autumn. They judge bundles and never train."
    )
    page.paragraph("To go back to the bundle before: `edgeseg adapt --rollback`.")


def _times(page: HtmlReport, result: DemoResult) -> None:
    page.heading("Where the time went")
    steps = [(name, spent) for name, spent in result.seconds.items() if spent]
    page.table(["step", "seconds"], [[name, f"{spent:.0f}"] for name, spent in steps])
    page.paragraph(
        f"The site is `{result.folder}`; its overlay video of the autumn is `device/autumn.mp4`. Go into it and try "
        "`edgeseg status`, `edgeseg log ls device/log`, `edgeseg bench` and `edgeseg adapt --status`."
    )
