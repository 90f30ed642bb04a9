"""A training run on disk: checkpoints that survive any kill, results.csv, TensorBoard,
metrics.json.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from edgeseg.atomic_files import remove_leftovers, write_atomic, write_json
from edgeseg.config import LoopConfig, to_toml
from edgeseg.errors import TrainError

KEEP = 2  # checkpoints: the newest, and the one before in case the disk damaged the newest
Row = dict[str, float]


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        path: its folder.
        miou: of the best weights on val, percent.
        metrics: what `metrics.json` holds.
    """

    path: Path
    miou: float
    metrics: dict[str, Any]  # Any: numbers, lists and tables of them


@dataclass
class TrainingState:
    """Where a run stands; together with the tensors all that a checkpoint holds.

    Attributes:
        step: steps done.
        rows: the lines of results.csv.
        best: highest mIoU on val so far, -1 before the first evaluation.
        best_step: the step it was reached at.
        seconds: spent training, over all resumptions.
        sums: sum and number of every figure since the last line.
    """

    step: int
    rows: list[Row]
    best: float
    best_step: int
    seconds: float
    sums: dict[str, list[float]]


def remember_origins(
    out: Path, given: dict[str, Path | None], *, resume: bool
) -> dict[str, Path | None]:
    """Remember which runs `out` starts from, and recall them on resumption where they are not given
    again.

    Raises:
        TrainError: other ones are given than the run was begun with.
    """
    stored = out / "origin.json"
    if resume and stored.exists():
        begun = {
            name: value and Path(value) for name, value in json.loads(stored.read_bytes()).items()
        }
        for name, value in given.items():
            if value is not None and value.resolve() != begun.get(name):
                raise TrainError(
                    f"{out} was begun with {name} {begun.get(name)}, not {value}; leave it out or start a new run"
                )
        return begun
    resolved = {name: value and value.resolve() for name, value in given.items()}
    if not resume and (out / "config.toml").exists():
        return resolved  # somebody else's run, which RunFolder is about to refuse
    write_json(stored, {name: value and str(value) for name, value in resolved.items()})
    return resolved


class RunFolder:
    """The folder of one run and everything written into it."""

    def __init__(
        self, path: Path, config: LoopConfig, *, resume: bool, helps: bool = False
    ) -> None:
        """Claim the folder.

        Args:
            helps: this process helps another that has claimed it, and writes nothing.

        Raises:
            TrainError: it holds another run, or one with another configuration.
        """
        self.path = path
        self._board: SummaryWriter | None = None
        if helps:
            return
        remove_leftovers(path)
        remove_leftovers(path / "checkpoint")
        remove_leftovers(path / "weights")
        text = to_toml(config)
        stored = path / "config.toml"
        if stored.exists():
            if not resume:
                raise TrainError(
                    f"{path} already holds a run; choose another folder, or continue it with --resume"
                )
            if stored.read_text() != text:
                keys = sorted(set(text.splitlines()) ^ set(stored.read_text().splitlines()))
                raise TrainError(
                    f"{path} was begun with another configuration ({'; '.join(keys[:4])}); "
                    "undo the change or start a new run"
                )
        write_atomic(stored, text.encode())

    def save(self, module: nn.Module, optimizer: Optimizer, progress: TrainingState) -> None:
        """Write a checkpoint, then delete all but the newest ones."""
        tensors = {f"module.{name}": value.detach() for name, value in module.state_dict().items()}
        state = optimizer.state_dict()["state"]
        for index, values in state.items():
            tensors |= {
                f"optimizer.{index}.{name}": torch.as_tensor(value)
                for name, value in values.items()
            }
        plain = {name: value.cpu().contiguous() for name, value in tensors.items()}
        data = save(plain, {"progress": json.dumps(vars(progress))})
        name = f"step-{progress.step:08d}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
        write_atomic(self.path / "checkpoint" / name, data)
        for old in self._checkpoints()[:-KEEP]:
            old.unlink()

    def load(self, module: nn.Module, optimizer: Optimizer) -> TrainingState | None:
        """Put the newest sound checkpoint into `module` and `optimizer`; None when there is none."""
        for path in reversed(self._checkpoints()):
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest()[:16] != path.stem.rsplit("-", 1)[1]:
                path.unlink()  # damaged on disk; the one before still stands
                continue
            try:
                with safe_open(path, "pt") as file:
                    progress = TrainingState(**json.loads(file.metadata()["progress"]))
                _restore(load(data), module, optimizer)
            except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
                what = str(error).splitlines()[0]
                raise TrainError(
                    f"{path} was made by another version or network ({what}); start a new run"
                ) from None
            return progress
        return None

    def log(self, row: Row) -> None:
        """Add a line to TensorBoard."""
        if self._board is None:
            self._board = SummaryWriter(str(self.path / "tensorboard"), purge_step=int(row["step"]))
        for name, value in row.items():
            if name != "step":
                self._board.add_scalar(name, value, int(row["step"]))

    def write_rows(self, rows: list[Row]) -> None:
        """Replace results.csv."""
        text = io.StringIO()
        writer = csv.DictWriter(
            text, sorted({name for row in rows for name in row}, key=_column), lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
        write_atomic(self.path / "results.csv", text.getvalue().encode())

    def finish(
        self, metrics: dict[str, Any]
    ) -> RunResult:  # Any: numbers, lists and tables of them
        """Write metrics.json, which marks the run as finished."""
        if self._board is not None:
            self._board.close()
        write_json(self.path / "metrics.json", metrics)
        return RunResult(self.path, float(metrics["miou"]), metrics)

    def finished(self) -> RunResult | None:
        """The result, if the run is over."""
        path = self.path / "metrics.json"
        if not path.exists():
            return None
        metrics = json.loads(path.read_bytes())
        return RunResult(self.path, float(metrics["miou"]), metrics)

    def _checkpoints(self) -> list[Path]:
        return sorted((self.path / "checkpoint").glob("step-*.safetensors"))


def _column(name: str) -> tuple[bool, str]:
    return name != "step", name


def _restore(tensors: dict[str, Tensor], module: nn.Module, optimizer: Optimizer) -> None:
    module.load_state_dict(
        {n.removeprefix("module."): t for n, t in tensors.items() if n.startswith("module.")}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
