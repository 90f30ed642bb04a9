"""The results of a comparison: the figures of every run, and of every method over its seeds. Reads
files, trains nothing.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.metrics import Counts

SUPERVISED_ONLY = "suponly"  # trained on labels alone: the floor that other methods have to beat
RARE_SHARE = 0.05  # share of the labelled pixels below which a class is rare
MEMORY_FILE = "memory.json"  # beside the results of a run, written by the process that trained it
COUNTS_FILE = "counts.npy"  # likewise: (frames, C, C) on val after the last step


@dataclass(frozen=True)
class ComparedRun:
    """One finished run of a comparison.

    Attributes:
        path: Its run folder.
        method: The name of its method.
        seed: Its seed.
        last: mIoU on val of the averaged weights after the last step, percent.
        best: mIoU of the weights that ship; in runs of older versions the highest of all
            evaluations.
        best_step: The step that they are of.
        per_class: IoU after the last step by class; None for a class that val does not have.
        seconds_per_step: The median time of a step.
        memory: Bytes at the highest, None where that was not measured.
        on_gpu: Whether that is memory of a GPU.
        kept: The share of the pseudo-labels that were used at the end, None for methods without.
        pseudo: The share of each class among the pseudo-labels, empty for methods without.
        curve: (step, mIoU) of every evaluation.
    """

    path: Path
    method: str
    seed: int
    last: float
    best: float
    best_step: int
    per_class: dict[str, float | None]
    seconds_per_step: float
    memory: int | None
    on_gpu: bool
    kept: float | None
    pseudo: dict[str, float]
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class MethodResult:
    """One method over its seeds.

    Attributes:
        method: Its name.
        runs: Its finished runs, by seed.
        failed: The reasons of the runs that failed, by seed.
    """

    method: str
    runs: tuple[ComparedRun, ...]
    failed: Mapping[int, str]

    @property
    def final_mious(self) -> list[float]:
        """The mIoU of each finished run after its last step."""
        return [run.last for run in self.runs]

    @property
    def mean(self) -> float:
        """The mean of `final_mious`."""
        return statistics.mean(self.final_mious)

    @property
    def spread(self) -> float | None:
        """The sample standard deviation of `final_mious`; None for one seed."""
        return statistics.stdev(self.final_mious) if len(self.runs) > 1 else None

    @property
    def best(self) -> float:
        """The mean over seeds of the mIoU of the weights that ship."""
        return statistics.mean(run.best for run in self.runs)

    @property
    def seconds_per_step(self) -> float:
        """The median over seeds."""
        return statistics.median(run.seconds_per_step for run in self.runs)

    @property
    def memory(self) -> int | None:
        """The most bytes that a run has held."""
        return max((run.memory for run in self.runs if run.memory is not None), default=None)

    @property
    def kept(self) -> float | None:
        """The mean over seeds of the share of pseudo-labels used."""
        return _mean_of_known([run.kept for run in self.runs])

    def class_iou(self, name: str) -> float | None:
        """Return the IoU of a class, mean over seeds."""
        return _mean_of_known([run.per_class.get(name) for run in self.runs])

    def mean_iou_of(self, names: Sequence[str]) -> float | None:
        """Return the mean IoU over some classes, leaving out those that val does not have."""
        return _mean_of_known([self.class_iou(name) for name in names])

    def counts(self) -> Counts | None:
        """Return the confusion matrices (seeds, frames, C, C) on val; None where a run has not left
        its own.
        """
        files = [run.path / COUNTS_FILE for run in self.runs]
        if not files or not all(file.exists() for file in files):
            return None
        return np.stack([np.load(file) for file in files])


def read_run(path: Path, method: str, seed: int) -> ComparedRun | None:
    """Return the figures of a run folder; None while it is unfinished."""
    try:
        # Any: numbers and tables of them
        metrics: dict[str, Any] = json.loads((path / "metrics.json").read_bytes())
    except FileNotFoundError:
        return None
    averaged, kept = metrics["last"]["ema"], metrics.get("kept_share")
    memory = read_memory(path)
    return ComparedRun(
        path=path,
        method=method,
        seed=seed,
        last=averaged["miou"],
        best=metrics["best"]["miou"],
        best_step=metrics["best"]["step"],
        per_class=_shown_classes(path, averaged["per_class"]),
        seconds_per_step=metrics["seconds_per_step"],
        memory=memory.get("bytes"),
        on_gpu=bool(memory.get("on_gpu")),
        kept=kept[-1] if kept else None,
        pseudo=metrics.get("pseudo_label_share", {}),
        curve=_read_curve(path / "results.csv"),
    )


def group_by_method(
    runs: Sequence[ComparedRun], failed: Mapping[tuple[str, int], str], methods: Sequence[str]
) -> list[MethodResult]:
    """Return every method that has finished or failed, best mean first, those without a finished
    run last.

    Args:
        runs: The finished runs.
        failed: The reasons of the others, by method and seed.
        methods: Names of methods.
    """
    results = []
    for method in methods:
        own_runs = [run for run in runs if run.method == method]
        own_runs.sort(key=lambda run: run.seed)
        reasons = {seed: reason for (name, seed), reason in failed.items() if name == method}
        if own_runs or reasons:
            results.append(MethodResult(method, tuple(own_runs), reasons))
    return sorted(results, key=lambda result: -result.mean if result.runs else float("inf"))


def find_method(results: Sequence[MethodResult], name: str | None) -> MethodResult | None:
    """Return the result of a method; None if none of its runs finished."""
    return next((result for result in results if result.method == name and result.runs), None)


def rare_classes(pixels: Mapping[str, int]) -> list[str]:
    """Return the classes below 5 % of the labelled pixels, or else the rarest one.

    A class that nobody labelled cannot be learned and does not count. For example, of 951, 49 and 0
    pixels the second class is rare.
    """
    present = {name: number for name, number in pixels.items() if number}
    total = sum(present.values())
    rare = [name for name, number in present.items() if number < RARE_SHARE * total]
    return rare or sorted(present, key=lambda name: present[name])[:1]


def read_memory(path: Path) -> dict[str, Any]:  # Any: a number and a flag
    """Return what the process that trained the run in `path` noted; empty where it has not."""
    try:
        memory: dict[str, Any] = json.loads((path / MEMORY_FILE).read_bytes())
    except FileNotFoundError:
        return {}
    return memory


def _shown_classes(path: Path, per_class: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the IoU by class, None where the truth of val does not show it.

    Runs that older versions finished have 0 for such a class as soon as it was predicted.
    """
    try:
        shown = np.load(path / COUNTS_FILE).sum((0, 2)) > 0
    except (OSError, ValueError):
        return dict(per_class)
    if len(shown) != len(per_class):
        return dict(per_class)
    return {
        name: value if is_shown else None
        for (name, value), is_shown in zip(per_class.items(), shown)
    }


def _read_curve(path: Path) -> tuple[tuple[float, float], ...]:
    if not path.exists():
        return ()
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("step") and row.get("miou_ema")]
    return tuple((float(row["step"]), float(row["miou_ema"])) for row in rows)


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None
