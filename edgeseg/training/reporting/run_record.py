"""What a run leaves for people: a line and pictures of each evaluation, and a page at its end.

Pictures and the page are worth less than the training: a fault in them is a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import torch

from edgeseg.imaging.array_types import Image
from edgeseg.metrics import Counts
from edgeseg.models import Network
from edgeseg.progress import ProgressReporter
from edgeseg.site import Site
from edgeseg.tracking import RunTrackers
from edgeseg.training.reporting.run_page import (
    FinishedRun,
    count_reliability,
    shipped_network,
    write_run_page,
)
from edgeseg.training.reporting.val_pictures import ValPictures
from edgeseg.training.run_folder import RunFolder, RunResult
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
        report: Is told of faults, and of the work on the page.
    """

    site: Site
    title: str
    folder: RunFolder
    trackers: RunTrackers
    pictures: ValPictures
    validation: Validation
    device: torch.device
    report: ProgressReporter

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
        pictures: dict[str, Image] = {}
        try:
            pictures = self.pictures.of_evaluation(
                number, network, counts, self.device, is_last=is_last
            )
        except Exception as error:  # noqa: BLE001  # no picture is worth a day of training
            self._tell(f"the pictures of val at step {state.step}", error)
        self.trackers.log(state.step, _without_step(state.rows[-1]), pictures)

    def write_page(
        self, state: TrainingState, teacher: Network, shipped: ShippedWeights, result: RunResult
    ) -> RunResult:
        """Write the page about the weights that ship; return the result with what it adds.

        A fault is told, and leaves the result as it is.

        Args:
            state: The finished training.
            teacher: The averaged network after the last step.
            shipped: Which weights ship.
            result: The finished run, whose metrics.json is written.
        """
        try:
            run = FinishedRun(
                folder=self.folder.path,
                title=f"{self.title} {self.folder.path.name}",
                site=self.site,
                validation=self.validation,
                network=shipped_network(self.folder.path, teacher, shipped, state.step),
                shipped=shipped,
                device=self.device,
            )
            reliability = count_reliability(run, self.report)
            calibration = round(100 * reliability.error, 3)
            added = {"calibration_error_untempered": calibration}
            result = self.folder.finish(result.metrics | added)
            figures = {"miou": shipped.miou, **added}
            self.trackers.log(
                state.step, {f"shipped/{name}": value for name, value in figures.items()}
            )
            write_run_page(run, state, reliability, result.metrics)
        except Exception as error:  # noqa: BLE001  # the run is over, its weights are safe
            self._tell(f"the page {self.folder.path / 'report.html'}", error)
        finally:
            self.report.stop()
        return result

    def _tell(self, what: str, error: Exception) -> None:
        reason = str(error).strip().splitlines()
        self.report.say(
            f"note: {what} could not be made ({type(error).__name__}: "
            f"{reason[0] if reason else 'no message'}); the weights and figures of the run are "
            "not touched by it"
        )


def _without_step(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "step"}
