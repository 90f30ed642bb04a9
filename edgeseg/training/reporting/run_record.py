"""What a run leaves for people: a line and pictures of each evaluation, and a page at its end."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch

from edgeseg.metrics import Counts
from edgeseg.models import Network
from edgeseg.site import Site
from edgeseg.tracking import RunTrackers
from edgeseg.training.reporting.run_page import (
    FinishedRun,
    count_reliability,
    shipped_network,
    write_run_page,
)
from edgeseg.training.reporting.val_pictures import ValPictures
from edgeseg.training.run_folder import RunFolder
from edgeseg.training.training_checkpoint import Row, TrainingState
from edgeseg.training.validation import ShippedWeights, Validation


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Writes for the one process that does; its trackers are closed when the run ends anyhow.

    Attributes:
        site: The site of the frames.
        title: What is trained, in words.
        folder: Where results.csv and the page go.
        trackers: Where the figures and pictures go.
        pictures: Makes the pictures.
        validation: The val frames.
        device: Where networks are.
    """

    site: Site
    title: str
    folder: RunFolder
    trackers: RunTrackers
    pictures: ValPictures
    validation: Validation
    device: torch.device

    def __enter__(self) -> RunRecord:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.trackers.close(finished=error is None)

    def add_evaluation(
        self, state: TrainingState, network: Network, counts: Counts, *, is_last: bool
    ) -> None:
        """Write the newest line of results, and hand it to the trackers with pictures.

        Args:
            state: The training, whose last row it is.
            network: What was evaluated; it is left in eval mode.
            counts: (C, C) of it.
            is_last: Whether no evaluation follows.
        """
        self.folder.write_rows(state.rows)
        number = len(state.rows)
        pictures = self.pictures.of_evaluation(
            number, network, counts, self.device, is_last=is_last
        )
        self.trackers.log(state.step, _without_step(state.rows[-1]), pictures)

    def write_page(
        self,
        state: TrainingState,
        teacher: Network,
        shipped: ShippedWeights,
        metrics: dict[str, Any],  # Any: the content of metrics.json
    ) -> dict[str, Any]:
        """Write the page about the weights that ship, and return `metrics` with what it adds.

        Args:
            state: The finished training.
            teacher: The averaged network after the last step.
            shipped: Which weights ship.
            metrics: What the run says of itself so far.
        """
        run = FinishedRun(
            folder=self.folder.path,
            title=f"{self.title} {self.folder.path.name}",
            site=self.site,
            validation=self.validation,
            network=shipped_network(self.folder.path, teacher, shipped, state.step),
            shipped=shipped,
            device=self.device,
        )
        reliability = count_reliability(run)
        write_run_page(run, state, reliability, metrics)
        error = round(100 * reliability.error, 3)
        figures = {"shipped/miou": shipped.miou, "shipped/calibration_error": error}
        self.trackers.log(state.step, figures)
        return metrics | {"calibration_error": error}


def _without_step(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "step"}
