"""What a comparison found: the figures of every run, and where each method stands. Reads files,
trains nothing.
"""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.atomic_files import write_atomic
from edgeseg.metrics import Counts

SUPERVISED_ONLY = "suponly"  # trained on labels alone: what every other method has to beat
RARE_SHARE = 0.05  # share of the labelled pixels below which a class is rare
MEMORY_FILE = "memory.json"  # beside the results of a run, written by the process that trained it
COUNTS_FILE = "counts.npy"  # likewise: (frames, C, C) on val after the last step


@dataclass(frozen=True)
class ComparedRun:
    """One finished run.

    Attributes:
        last, best: mIoU on val of the averaged weights, at the end and at its highest; percent.
        per_class: IoU at the end; None for a class that val does not have.
        memory: bytes at the highest, None where that was not measured.
        kept: share of the pseudo-labels that were used at the end, None for methods without.
        pseudo: share of each class among the pseudo-labels, empty for methods without.
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
    """One method: its finished runs, and the seeds that failed with their reasons."""

    method: str
    runs: tuple[ComparedRun, ...]
    failed: Mapping[int, str]

    @property
    def final_mious(self) -> list[float]:
        """mIoU at the end of each finished run."""
        return [run.last for run in self.runs]

    @property
    def mean(self) -> float:
        return statistics.mean(self.final_mious)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over seeds; None for one."""
        return statistics.stdev(self.final_mious) if len(self.runs) > 1 else None

    @property
    def best(self) -> float:
        return statistics.mean(run.best for run in self.runs)

    @property
    def seconds_per_step(self) -> float:
        return statistics.median(run.seconds_per_step for run in self.runs)

    @property
    def memory(self) -> int | None:
        return max((run.memory for run in self.runs if run.memory is not None), default=None)

    @property
    def kept(self) -> float | None:
        return _mean([run.kept for run in self.runs])

    def class_iou(self, name: str) -> float | None:
        """IoU of a class, mean over seeds."""
        return _mean([run.per_class.get(name) for run in self.runs])

    def counts(self) -> Counts | None:
        """(seeds, frames, C, C) on val; None where a run has not left its own."""
        files = [run.path / COUNTS_FILE for run in self.runs]
        if not files or not all(file.exists() for file in files):
            return None
        return np.stack([np.load(file) for file in files])

    def mean_iou_of(self, names: Sequence[str]) -> float | None:
        """Mean IoU over the classes `names`, leaving out those that val does not have."""
        return _mean([self.class_iou(name) for name in names])


def read_run(path: Path, method: str, seed: int) -> ComparedRun | None:
    """The figures of a run folder; None while it is unfinished."""
    try:
        metrics: dict[str, Any] = json.loads(
            (path / "metrics.json").read_bytes()
        )  # Any: numbers and tables of them
    except FileNotFoundError:
        return None
    ema, kept = metrics["last"]["ema"], metrics.get("kept_share")
    memory = read_memory(path)
    return ComparedRun(
        path,
        method,
        seed,
        ema["miou"],
        metrics["best"]["miou"],
        metrics["best"]["step"],
        ema["per_class"],
        metrics["seconds_per_step"],
        memory.get("bytes"),
        bool(memory.get("on_gpu")),
        kept[-1] if kept else None,
        metrics.get("pseudo_label_share", {}),
        _curve(path / "results.csv"),
    )


def group_by_method(
    runs: Sequence[ComparedRun], failed: Mapping[tuple[str, int], str], methods: Sequence[str]
) -> list[MethodResult]:
    """Every method that has finished or failed, best mean first, those without a finished run last."""
    found = []
    for method in methods:
        mine = tuple(
            sorted((run for run in runs if run.method == method), key=lambda run: run.seed)
        )
        reasons = {seed: reason for (name, seed), reason in failed.items() if name == method}
        if mine or reasons:
            found.append(MethodResult(method, mine, reasons))
    return sorted(found, key=lambda each: -each.mean if each.runs else float("inf"))


def rare_classes(pixels: Mapping[str, int]) -> list[str]:
    """The classes below 5 % of the labelled pixels, at least the rarest; what nobody labelled
    cannot be learned.
    """
    present = {name: number for name, number in pixels.items() if number}
    total = sum(present.values())
    rare = [name for name, number in present.items() if number < RARE_SHARE * total]
    return rare or sorted(present, key=lambda name: present[name])[:1]


def table_row(
    each: MethodResult, floor: MethodResult | None, rare: Sequence[str]
) -> dict[str, Any]:  # Any: numbers, lists, text
    """One line of the table, with what lies behind it."""
    failed = {str(seed): reason for seed, reason in each.failed.items()}
    if not each.runs:
        return {"method": each.method, "seeds": 0, "failed": failed}
    return {
        "method": each.method,
        "seeds": len(each.runs),
        "miou": round(each.mean, 4),
        "sd": _round(each.spread),
        "gain": _round(each.mean - floor.mean) if floor and each is not floor else None,
        "rare_iou": _round(each.mean_iou_of(rare)),
        "best_miou": round(each.best, 4),
        "seconds_per_step": each.seconds_per_step,
        "memory_bytes": each.memory,
        "kept_share": _round(each.kept),
        "last": {str(run.seed): run.last for run in each.runs},
        "best": {
            str(run.seed): {"miou": round(run.best, 4), "step": run.best_step} for run in each.runs
        },
        "per_class": {name: _round(each.class_iou(name)) for name in each.runs[0].per_class},
        "failed": failed,
    }


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:  # Any: as `row` gives them
    """The plain figures of `row` as CSV."""
    columns = [
        "method",
        "seeds",
        "miou",
        "sd",
        "gain",
        "rare_iou",
        "best_miou",
        "seconds_per_step",
        "memory_bytes",
        "kept_share",
        "failed",
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for each in rows:
        reasons = "; ".join(f"seed {seed}: {reason}" for seed, reason in each["failed"].items())
        writer.writerow({**each, "failed": reasons})
    write_atomic(path, text.getvalue().encode())


def read_memory(path: Path) -> dict[str, Any]:  # Any: a number and a flag
    """What the process that trained the run in `path` noted; empty where it has not."""
    try:
        found: dict[str, Any] = json.loads((path / MEMORY_FILE).read_bytes())
    except FileNotFoundError:
        return {}
    return found


def _curve(path: Path) -> tuple[tuple[float, float], ...]:
    if not path.exists():
        return ()
    with path.open(newline="") as file:
        rows = [line for line in csv.DictReader(file) if line.get("step") and line.get("miou_ema")]
    return tuple((float(line["step"]), float(line["miou_ema"])) for line in rows)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
