"""The trackers of one run: TensorBoard always, others by `train.trackers`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from types import TracebackType

from edgeseg.errors import ConfigError
from edgeseg.imaging.array_types import Image
from edgeseg.installation import install_command
from edgeseg.progress import ProgressReporter
from edgeseg.tracking import background_tracker, mlflow_tracker
from edgeseg.tracking.background_tracker import BackgroundTracker
from edgeseg.tracking.tracker import TrackedRun, Tracker, finite
from edgeseg.tracking.wandb_tracker import WandbTracker

# By name in the configuration: the name in sentences, the modules that must be there, the tracker.
TRACKERS: dict[str, tuple[str, tuple[str, ...], Callable[[TrackedRun], Tracker]]] = {
    "mlflow": ("MLflow", ("mlflow", "sqlalchemy", "alembic"), mlflow_tracker.MlflowTracker),
    "wandb": ("Weights & Biases", ("wandb",), WandbTracker),
}


class RunTrackers:
    """Hands what was measured to all trackers of a run; closes them when the run ends anyhow."""

    def __init__(
        self,
        own: Sequence[Tracker] = (),
        others: Sequence[BackgroundTracker] = (),
        report: ProgressReporter | None = None,
    ) -> None:
        """Take the trackers.

        Args:
            own: Those that write into the run folder, at once; the first fault ends one.
            others: Those that may be slow as well.
            report: Is told of faults.
        """
        self._own, self._others, self._report = list(own), others, report
        self._closed = False

    def __enter__(self) -> RunTrackers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(finished=error is None)

    def log(
        self, step: int, figures: Mapping[str, float], pictures: Mapping[str, Image] | None = None
    ) -> None:
        """Take what was measured after a step, see `Tracker.log`; what is no number is left out."""
        taken = finite(figures)
        self._ask_own(lambda tracker: tracker.log(step, taken, pictures or {}))
        for tracker in self._others:
            tracker.log(step, taken, pictures or {})
        self._tell()

    def close(self, *, finished: bool) -> None:
        """Write everything out, once; a minute at most is waited for all that are slow."""
        if self._closed:
            return
        self._closed = True
        until = time.monotonic() + background_tracker.closing_seconds(finished=finished)
        for tracker in self._others:
            tracker.end(finished=finished)
        self._ask_own(lambda tracker: tracker.close(finished=finished))
        for tracker in self._others:
            tracker.wait(until)
        self._tell()

    def _ask_own(self, ask: Callable[[Tracker], None]) -> None:
        """Ask each of the own trackers; one that fails is told, and asked nothing more."""
        for tracker in [*self._own]:
            try:
                ask(tracker)
            except Exception as error:  # noqa: BLE001  # no tracker is worth a training
                self._own.remove(tracker)
                if self._report is not None:
                    name = type(tracker).__name__.removesuffix("Tracker")
                    self._report.say(f"note: {name} {background_tracker.describe(error)}")

    def _tell(self) -> None:
        for tracker in self._others:
            note = tracker.take_note()
            if note and self._report is not None:
                self._report.say(f"note: {note}")


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers whose library is not installed, before a training of a day begins.

    Raises:
        ConfigError: One is missing.
    """
    for name in names:
        title, modules, _ = TRACKERS[name]
        if name == mlflow_tracker.NAME and mlflow_tracker.is_remote():
            modules = modules[:1]  # the rest is for stores in a database
        missing = [module for module in modules if not _is_installed(module)]
        if missing:
            raise ConfigError(
                f"trackers has {name}, but {title} cannot run without the package "
                f"{', '.join(missing)}; get it with `{install_command(name)}`, or take "
                f"{name} out of trackers"
            )


def open_trackers(
    names: Sequence[str], run: TrackedRun, report: ProgressReporter | None = None
) -> RunTrackers:
    """Open TensorBoard and the trackers by name, for the one process that writes.

    Args:
        names: Keys of TRACKERS.
        run: The run.
        report: Is told when a tracker fails, which stops nothing.
    """
    from edgeseg.tracking import tensorboard_tracker  # noqa: PLC0415  # imports torch

    others = []
    for name in dict.fromkeys(names):
        title, _, tracker = TRACKERS[name]
        others.append(BackgroundTracker(title, partial(tracker, run)))
    return RunTrackers([tensorboard_tracker.TensorBoardTracker(run.folder)], others, report)


def _is_installed(module: str) -> bool:
    spec = find_spec(module)
    # A folder of that name in the working directory, such as W&B's own, is no library.
    return spec is not None and spec.origin is not None
