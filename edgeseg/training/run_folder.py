"""The folder of a training run: configuration, results, checkpoints and weights."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.atomic_files import remove_leftovers, write_atomic, write_json
from edgeseg.config import LoopConfig, saved_differences, to_toml
from edgeseg.disk.stored_paths import find_stored_path, store_path
from edgeseg.errors import TrainError
from edgeseg.progress import ProgressReporter
from edgeseg.training.training_checkpoint import CheckpointFolder, Row


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        path: Its folder.
        miou: mIoU on val of the weights that ship, in percent.
        metrics: The content of `metrics.json`.
    """

    path: Path
    miou: float
    metrics: dict[str, Any]  # Any: numbers, lists and tables of them


def remember_origins(
    root: Path,
    out: Path,
    given: dict[str, Path | None],
    *,
    resume: bool,
    report: ProgressReporter | None = None,
) -> dict[str, Path | None]:
    """Remember which runs `out` starts from, and recall them when it is resumed.

    Args:
        root: The folder of the site; runs inside it are remembered relative to it.
        out: The run folder.
        given: The runs by their role, such as "teacher".
        resume: Whether `out` is resumed.
        report: Is told when a run that has been moved is found elsewhere.

    Raises:
        TrainError: other ones are given than the run was begun with.
    """
    stored = out / "origin.json"
    if resume and stored.exists():
        texts = {name: value for name, value in json.loads(stored.read_bytes()).items() if value}
        begun_with = {name: find_stored_path(root, text) for name, text in texts.items()}
        for name, path in begun_with.items():
            was_moved = Path(texts[name]).is_absolute() and path != Path(texts[name])
            if was_moved and report is not None:
                report.say(f"the {name} {texts[name]} is gone; taken instead: {path}")
        for name, value in given.items():
            begun = begun_with.get(name)
            if value is not None and (begun is None or value.resolve() != begun.resolve()):
                raise TrainError(
                    f"{out} was begun with {name} {begun}, not {value}; "
                    "leave it out or start a new run"
                )
        return {name: begun_with.get(name) for name in given}
    resolved = {name: value and value.resolve() for name, value in given.items()}
    if not resume and (out / "config.toml").exists():
        return resolved  # somebody else's run, which RunFolder is about to refuse
    write_json(stored, {name: value and store_path(root, value) for name, value in given.items()})
    return resolved


class RunFolder:
    """The folder of one run and everything written into it.

    Attributes:
        path: The folder.
        checkpoints: Its training checkpoints.
    """

    def __init__(
        self, path: Path, config: LoopConfig, *, resume: bool, is_main: bool = True
    ) -> None:
        """Claim the folder.

        Args:
            path: The folder, which may be new.
            config: The configuration, which a resumed run must have begun with.
            resume: Whether the folder may hold a run.
            is_main: Whether this process claims the folder and writes; if it only helps another
                one, it does neither.

        Raises:
            TrainError: it holds another run, or one with another configuration.
        """
        self.path = path
        self.checkpoints = CheckpointFolder(path / "checkpoint")
        self._config = config
        if not is_main:
            return
        remove_leftovers(path)
        remove_leftovers(path / "weights")
        self.checkpoints.remove_leftovers()
        text = to_toml(config)
        stored = path / "config.toml"
        if stored.exists():
            _require_same_run(path, config, stored, resume=resume)
        write_atomic(stored, text.encode())

    def write_rows(self, rows: list[Row]) -> None:
        """Replace results.csv; its columns are the step, then all names in alphabetical order."""
        names = sorted(
            {name for row in rows for name in row}, key=lambda name: (name != "step", name)
        )
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
        write_atomic(self.path / "results.csv", text.getvalue().encode())

    def finish(
        self, metrics: dict[str, Any]
    ) -> RunResult:  # Any: numbers, lists and tables of them
        """Write metrics.json with the configuration, which marks the run as finished."""
        metrics = metrics | {"config": self._config.model_dump(mode="json")}
        write_json(self.path / "metrics.json", metrics)
        return RunResult(self.path, float(metrics["miou"]), metrics)

    def finished(self) -> RunResult | None:
        """Return the result, if the run is over."""
        path = self.path / "metrics.json"
        if not path.exists():
            return None
        metrics = json.loads(path.read_bytes())
        return RunResult(self.path, float(metrics["miou"]), metrics)


def _require_same_run(run: Path, config: LoopConfig, stored: Path, *, resume: bool) -> None:
    """Refuse to write into a folder that holds a run, unless that is resumed as it was begun."""
    if not resume:
        raise TrainError(
            f"{run} already holds a run; choose another folder, or continue it with --resume"
        )
    if changes := saved_differences(config, stored):
        raise TrainError(
            f"{run} was begun with another configuration ({'; '.join(changes[:4])}); "
            "undo the change or start a new run"
        )
