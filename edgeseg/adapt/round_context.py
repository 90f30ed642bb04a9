"""The context that the steps of a round are given, and the result that they hand back.

The training work is handed in (`TrainingSteps`), so that the order of the steps, the files and
every place a kill can strike are tested in seconds with stand-ins. `real_training_steps` imports
the real work, which needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.adapt.gate import GateMeasurement
from edgeseg.adapt.round_state import RoundState, Verdict, round_folder
from edgeseg.progress import ProgressReporter
from edgeseg.site import Site

# Any: each is called with keywords of its own, as the functions named have them.
DriftCheck = Callable[..., Any]  # edgeseg.adapt.drift_check.check_drift
Training = Callable[..., Any]  # edgeseg.training.train.train and edgeseg.training.distill.distill
Export = Callable[..., Any]  # edgeseg.export.exporter.export
GateRun = Callable[  # edgeseg.adapt.gate_measurement.measure_bundles
    [Site, Path, Path, ProgressReporter], tuple[GateMeasurement, GateMeasurement]
]


@dataclass(frozen=True)
class TrainingSteps:
    """The work of a round that takes hours.

    Attributes:
        check_drift: Predicts the selected frames. A `collapse` in its result stops the round, its
            `alarms` are told.
        train: Trains the site model; its result has `miou`.
        distill: Trains the edge model; its result has `miou`.
        export: Makes the bundle; its result has `refused`, sentences on files left out.
        measure: Measures challenger and champion on the gate frames.
    """

    check_drift: DriftCheck
    train: Training
    distill: Training
    export: Export
    measure: GateRun


def real_training_steps() -> TrainingSteps:
    """Import and return the real work; status and rollback do without it, and so without torch."""
    from edgeseg.adapt.drift_check import check_drift  # noqa: PLC0415
    from edgeseg.adapt.gate_measurement import measure_bundles  # noqa: PLC0415
    from edgeseg.export.exporter import export  # noqa: PLC0415
    from edgeseg.training.distill import distill  # noqa: PLC0415
    from edgeseg.training.train import train  # noqa: PLC0415

    return TrainingSteps(check_drift, train, distill, export, measure_bundles)


@dataclass(frozen=True)
class RoundContext:
    """A round as a step sees it.

    Attributes:
        site: The site, with the configuration that the round began with.
        state: What the round has done so far.
        logs: Folders to pull from.
        training: The work that takes hours.
        report: Where progress is told.
        review: Frames that a person is to see first, as the configuration says now: lowering it
            lets a round go on that waits.
    """

    site: Site
    state: RoundState
    logs: tuple[Path, ...]
    training: TrainingSteps
    report: ProgressReporter
    review: int = 0

    @property
    def folder(self) -> Path:
        """The folder `rounds/NNNN`."""
        return round_folder(self.site, self.state.number)

    @property
    def starting_point(self) -> dict[str, Any]:  # Any: JSON values
        """The champion and its runs as they were when the records were selected."""
        return dict(self.state.steps["select"].output["base"])

    @property
    def selected(self) -> list[str]:
        """The ids of the selected frames."""
        table = json.loads((self.folder / "selected.json").read_bytes())
        return [str(name) for name in table["frames"]]


@dataclass(frozen=True)
class RoundStepResult:
    """The result of a step.

    Attributes:
        output: Figures and names for later steps and reports.
        files: Paths that the step vouches for, relative to the round's folder.
        verdict: How the round ends, where it ends with this step.
        reason: One sentence about the verdict.
    """

    output: dict[str, Any]  # Any: JSON values
    files: tuple[str, ...] = ()
    verdict: Verdict | None = None
    reason: str = ""
