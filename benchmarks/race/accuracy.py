"""Confusion counts of every exported file on the official val, by the same code for both sides.

Each side's own program makes the class maps, at the size of the labels; they are counted here.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.race.entries import Plan, forms_of, run_peer
from benchmarks.race.forms import EDGESEG, OWN_FLAVOURS, Form
from benchmarks.race.peer_data import frame_pairs
from benchmarks.race.results import Json
from benchmarks.race.speed import RaceError
from benchmarks.sites import DATA_SETS
from edgeseg.imaging.mask_png import read_mask
from edgeseg.metrics import Counts, confusion_matrix, iou, miou_interval
from edgeseg.progress import LineReporter
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.bundle_evaluation import evaluate_runner

NEIGHBORS = 10  # frames of a dense video that are drawn together for the interval


def evaluate(plan: Plan, name: str, entry: Json) -> None:
    """Add "figures" to an entry: mIoU, interval and IoU of each class, by engine and precision."""
    figures: Json = entry.setdefault("figures", {})
    for form in forms_of(plan, name, entry):
        key = f"{form.engine} {form.precision}"
        if key in figures:
            continue
        counts = count_own(plan, form) if form.side == EDGESEG else count_peer(plan, name, form)
        path = plan.work / "counts" / f"{name}, {key}.npz".replace("/", "-")
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, counts=counts)
        figures[key] = summarize(counts)


def summarize(counts: Counts) -> Json:
    """Return the figures of confusion counts, (frames, C, C)."""
    interval = miou_interval(counts, block=NEIGHBORS)
    classes = [None if np.isnan(value) else round(float(value), 2) for value in iou(counts.sum(0))]
    return {"miou": round(interval.miou, 2), "iou": classes} | interval.as_json()


def count_own(plan: Plan, form: Form) -> Counts:
    """Return the confusions of a file of a bundle in each val frame."""
    data_set = DATA_SETS[plan.data_set]
    report, flavour = LineReporter(), OWN_FLAVOURS[form.precision]
    pairs = frame_pairs(plan.data, "val")
    with open_runner(form.bundle, "cpu", flavour, plan.threads) as runner:
        report.start(f"{form.name} on val", len(pairs))
        return evaluate_runner(
            runner,
            pairs,
            len(data_set.classes),
            read_mask=partial(read_mask, ignore=data_set.ignore),
            report=report,
        )


def count_peer(plan: Plan, name: str, form: Form) -> Counts:
    """Return the confusions of one of the peer's files in each val frame."""
    masks = plan.work / "masks" / name.replace("/", "-") / f"{form.engine}-{form.precision}"
    height, width = plan.size
    images = plan.data / "images" / "val"
    if not masks.is_dir() or len(os.listdir(masks)) < len(os.listdir(images)):
        arguments = ["predict", "--file", form.file, "--images", str(images)]
        arguments += ["--out", str(masks), "--size", str(height), str(width)]
        run_peer(plan, arguments)
    return count_masks(plan.data_set, frame_pairs(plan.data, "val"), masks)


def count_masks(data_set_name: str, pairs: list[tuple[Path, Path]], masks: Path) -> Counts:
    """Compare class maps, gray PNGs at the labels' size, with the labels.

    Returns:
        (frames, C, C), rows are the truth.

    Raises:
        RaceError: A class map has another size than its label.
    """
    data_set = DATA_SETS[data_set_name]
    counts = []
    for image, label in pairs:
        truth = read_mask(label, ignore=data_set.ignore)
        found = read_mask(masks / f"{image.stem}.png")
        if found.shape != truth.shape:
            raise RaceError(
                f"the class map of {image.name} is {found.shape[1]}x{found.shape[0]} and its label "
                f"{truth.shape[1]}x{truth.shape[0]}; delete {masks} to predict anew"
            )
        counts.append(confusion_matrix(truth, found, len(data_set.classes)))
    return np.stack(counts)
