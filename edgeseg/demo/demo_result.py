"""What the demo found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelResult:
    """One line of the table; mIoU in percent on test frames.

    Attributes:
        summer: before the drift.
        autumn: after the drift, before the round.
        adapted: after the drift, after the round; None for a model that rounds do not change.
        fps: frames a second on this machine, one at a time.
    """

    model: str
    summer: float
    autumn: float
    adapted: float | None
    fps: float


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Attributes:
        verdict, reason: of the round's gate.
        logged: frames that the device sent home.
        infer_fps: of the whole pipeline with the frame log, over the drifted video.
        seconds: spent, by step.
        report: the HTML page.
    """

    folder: Path
    rows: tuple[ModelResult, ...]
    verdict: str
    reason: str
    logged: int
    infer_fps: float
    seconds: dict[str, float]
    report: Path
