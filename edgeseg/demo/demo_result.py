"""The result of a demo, put together from what its steps have noted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.demo.measurement import SEASONS

StepOutput = dict[str, Any]  # Any: what json can hold
MODELS = ("SupOnly", "semi-supervised", "edge model", "INT8")
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class ModelResult:
    """One line of the table; mIoU in percent on test frames.

    Attributes:
        model: The name of the model.
        summer: mIoU before the drift.
        autumn: mIoU after the drift, before the round.
        adapted: mIoU after the drift and the round; None for a model that rounds do not change.
        fps: Frames a second on this machine, one at a time.
    """

    model: str
    summer: float
    autumn: float
    adapted: float | None
    fps: float


@dataclass(frozen=True)
class DemoResult:
    """A demo that is over.

    Attributes:
        folder: The site.
        rows: The lines of the table.
        verdict: The verdict of the round's gate.
        reason: One sentence about it.
        logged: The number of frames that the device sent home.
        infer_fps: Frames a second of the whole pipeline with the frame log, over the drifted video.
        seconds: The time spent, by step.
        report: The HTML page.
    """

    folder: Path
    rows: tuple[ModelResult, ...]
    verdict: str
    reason: str
    logged: int
    infer_fps: float
    seconds: dict[str, float]
    report: Path


def summarize_demo(folder: Path, done: dict[str, StepOutput]) -> DemoResult:
    """Return the table and the rest.

    Args:
        folder: The site.
        done: The outputs of the steps by name, as in `demo.json`.
    """
    before, after, infer, adaptation = (
        done[name] for name in ("before", "after", "infer", "round")
    )
    rows = []
    for name in MODELS:
        if name in before:  # the INT8 file may have been refused
            summer, autumn = (before[name][season] for season in SEASONS)
            adapted = after[name]["autumn"]["miou"] if name in after else None
            rows.append(ModelResult(name, summer["miou"], autumn["miou"], adapted, summer["fps"]))
    return DemoResult(
        folder=folder,
        rows=tuple(rows),
        verdict=adaptation["verdict"],
        reason=adaptation["reason"],
        logged=infer["logged"],
        infer_fps=infer["fps"],
        seconds={name: float(output["seconds"]) for name, output in done.items()},
        report=folder / REPORT_FILE,
    )
