"""Training checkpoints, with which a killed run goes on bit for bit.

They are written so that they survive any kill.

The finished weights that are evaluated and exported are not here but in
`edgeseg.models.model_files`.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from edgeseg.atomic_files import remove_leftovers, write_atomic
from edgeseg.disk.library_paths import library_path
from edgeseg.errors import TrainError
from edgeseg.json_text import to_json

KEPT = 2  # checkpoints: the newest, and the one before in case the disk damaged the newest
MODULE = "module."  # begins the names of the method's tensors
SMOOTHED = 3  # evaluations whose mean is compared, since one alone is chance
Row = dict[str, float]


@dataclass
class TrainingState:
    """The progress of a run; together with the tensors all that a checkpoint holds.

    The names are those in the files.

    Attributes:
        step: Number of steps done.
        rows: The lines of results.csv.
        best: The highest mean mIoU of neighboring evaluations so far (`add_evaluation`), -1 before
            the first one.
        best_step: The step of the last evaluation of these.
        seconds: Time spent training, over all resumptions.
        sums: Sum and number of every logged value since the last line.
        evaluation_seconds: The part of `seconds` that evaluations took.
    """

    step: int
    rows: list[Row] = field(default_factory=list)
    best: float = -1.0
    best_step: int = 0
    seconds: float = 0.0
    sums: dict[str, list[float]] = field(default_factory=dict)
    evaluation_seconds: float = 0.0

    def add_logs(self, logs: dict[str, Tensor]) -> None:
        """Take in the logs of a step: numbers (), and vectors (C,) as `name/0`, `name/1`, ..."""
        for name, value in logs.items():
            numbers = [(name, value)]
            if value.ndim:
                numbers = [(f"{name}/{index}", number) for index, number in enumerate(value)]
            for key, number in numbers:
                total, times = self.sums.get(key, (0.0, 0.0))
                self.sums[key] = [total + float(number), times + 1]

    def add_evaluation(self, row: Row) -> bool:
        """Take in a line of results; return whether the weights are the candidate to ship from now
        on should the training fall (`edgeseg.training.reporting.shipped_weights`).

        They are if the mean over their own evaluation and the two before is the highest so far: of
        50, 53, 49, 52, 52 the means are 50, 51.5, 50.7, 51.3 and 51.
        """
        self.rows.append(row)
        mean = statistics.mean(row["miou_ema"] for row in self.rows[-SMOOTHED:])
        is_candidate = mean > self.best
        if is_candidate:
            self.best, self.best_step = mean, self.step
        return is_candidate

    def take_mean_logs(self) -> Row:
        """Return the means of all logs since the last call, with the step they end at."""
        means = {name: total / times for name, (total, times) in self.sums.items()}
        self.sums.clear()
        return {"step": float(self.step)} | means


class CheckpointFolder:
    """The newest checkpoints of a run: `step-<number>-<digest>.safetensors`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def remove_leftovers(self) -> None:
        """Delete what a killed writer left."""
        remove_leftovers(self._folder)

    def save(self, module: nn.Module, optimizer: Optimizer, state: TrainingState) -> None:
        """Write a checkpoint, then delete all but the newest ones."""
        tensors = {f"module.{name}": value.detach() for name, value in module.state_dict().items()}
        for index, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
        plain = {name: value.cpu().contiguous() for name, value in tensors.items()}
        data = save(plain, {"progress": to_json(vars(state))})
        name = f"step-{state.step:08d}-{_digest(data)}.safetensors"
        write_atomic(self._folder / name, data)
        for old in self._oldest_first()[:-KEPT]:
            old.unlink()

    def restore(self, module: nn.Module, optimizer: Optimizer) -> TrainingState | None:
        """Put the newest sound checkpoint into `module` and `optimizer`.

        Returns:
            Where the run stood, or None without a checkpoint.

        Raises:
            TrainError: it was made by another version or network.
        """
        for path in reversed(self._oldest_first()):
            data = path.read_bytes()
            if _digest(data) != path.stem.rsplit("-", 1)[1]:
                path.unlink()  # damaged on disk; the one before still stands
                continue
            with _refusals(path):
                state = _read_state(path)
                _load_tensors(load(data), module, optimizer)
            return state
        return None

    def look(self, module: nn.Module) -> TrainingState | None:
        """Put the newest sound checkpoint into `module` alone, and change nothing on disk.

        Memory is taken for the tensors of the module, not for the optimizer's.

        Returns:
            Where the run stood, or None without a sound checkpoint.

        Raises:
            TrainError: it was made by another version or network.
            OSError: it has just been replaced by a newer one.
        """
        for path in reversed(self._oldest_first()):
            if _digest(path.read_bytes()) != path.stem.rsplit("-", 1)[1]:
                continue
            with _refusals(path):
                state = _read_state(path)
                with library_path(path) as name, safe_open(name, "pt") as file:
                    own = {
                        key.removeprefix(MODULE): file.get_tensor(key)
                        for key in file.keys()  # noqa: SIM118  # no mapping
                        if key.startswith(MODULE)
                    }
                module.load_state_dict(own)
            return state
        return None

    def _oldest_first(self) -> list[Path]:
        return sorted(self._folder.glob("step-*.safetensors"))


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        what = str(error).splitlines()[0]
        raise TrainError(
            f"{path} was made by another version or network ({what}); start a new run"
        ) from None


def _read_state(path: Path) -> TrainingState:
    with library_path(path) as name, safe_open(name, "pt") as file:
        return TrainingState(**_nan_for_null(json.loads(file.metadata()["progress"])))


def _nan_for_null(value: Any) -> Any:  # Any: numbers, and lists and tables of them
    """Undo what `to_json` does to numbers that are none: a state holds nothing but numbers."""
    if isinstance(value, dict):
        return {key: _nan_for_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nan_for_null(item) for item in value]
    return math.nan if value is None else value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _load_tensors(tensors: dict[str, Tensor], module: nn.Module, optimizer: Optimizer) -> None:
    """Load the tensors of a checkpoint into the method and its optimizer.

    `module.<name>` belong to the method and `optimizer.<index>.<name>` to the optimizer, whose
    groups keep the learning rates of the configuration.
    """
    of_module = {
        name.removeprefix(MODULE): tensor
        for name, tensor in tensors.items()
        if name.startswith(MODULE)
    }
    module.load_state_dict(of_module)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            moments.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
