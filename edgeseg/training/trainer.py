"""The training loop of every method: prepare, then train step, evaluate and save in turns.

The loop is deterministic in its seed and its step: batches are a function of both, and the random
generator is seeded anew at every step, so a run that was killed and resumed ends with the same
weights (on a CPU, bit for bit).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from edgeseg.config import LoopConfig
from edgeseg.errors import TrainError
from edgeseg.methods import Method
from edgeseg.metrics import Counts, miou
from edgeseg.models import Network
from edgeseg.models.model_files import save_weights
from edgeseg.progress import ProgressReporter
from edgeseg.training.devices import Devices
from edgeseg.training.optimizer import (
    clip_gradients,
    learning_rates,
    require_finite,
    set_learning_rate,
)
from edgeseg.training.reporting.run_record import RunRecord
from edgeseg.training.reporting.shipped_weights import choose_shipped, run_notes
from edgeseg.training.reporting.step_pace import StepPace
from edgeseg.training.run_folder import RunFolder, RunResult
from edgeseg.training.step_batches import StepBatches
from edgeseg.training.training_checkpoint import TrainingState
from edgeseg.training.validation import Validation


@dataclass(kw_only=True)
class Trainer:
    """A method and all that trains it, put together by `edgeseg.training.fit`.

    Attributes:
        method: The student, its teacher and the losses, on the device.
        optimizer: Steps the method's parameters.
        batches: The frames of every step.
        devices: This process among those that train together.
        validation: Measures the networks on val.
        folder: Where the results go.
        record: Shows each evaluation and the result to people.
        steps: The steps to train.
        config: Says when to evaluate and to save, the seed, and whether to compile.
        report: Shows the progress.
        title: Title of the progress bar.
    """

    method: Method
    optimizer: torch.optim.Optimizer
    batches: StepBatches
    devices: Devices
    validation: Validation
    folder: RunFolder
    record: RunRecord
    steps: StepRange
    config: LoopConfig
    report: ProgressReporter
    title: str

    state: TrainingState = field(init=False)
    _fabric_method: Any = field(init=False)  # Any: Fabric's wrappers have no public types
    _fabric_optimizer: Any = field(init=False)
    _trained: list[nn.Parameter] = field(init=False)
    _start: float = field(init=False)
    _loss: float = field(init=False, default=math.nan)
    _pace: StepPace = field(init=False)
    _final_counts: dict[str, Counts] = field(init=False, default_factory=dict)

    def run(self) -> RunResult:
        """Train from where the run stood to the last step; then write its results."""
        with self.record:
            self.prepare()
            for step in range(self.state.step, self.steps.last):
                self.train_step(step)
                steps_done, is_last = step + 1, step + 1 == self.steps.last
                if steps_done % self.config.eval_every == 0 or is_last:
                    self.evaluate()
                if steps_done in self.steps.snapshots:
                    self.save_snapshot()
                if steps_done % self.config.checkpoint_every == 0 and not is_last:
                    self.save()
                self.report.advance(1, self._figures_now())
                self._tell_duration()
            return self.finish()

    def prepare(self) -> None:
        """Restore the newest checkpoint, and let Fabric wrap the method and the optimizer."""
        restored = self.folder.checkpoints.restore(self.method, self.optimizer)
        self.state = restored or TrainingState(self.steps.first, seconds=self.steps.seconds)
        if self.config.compile:
            self.method.student.compile()
        self._fabric_method, self._fabric_optimizer = self.devices.fabric.setup(
            self.method, self.optimizer
        )
        self._trained = [
            parameter for parameter in self.method.parameters() if parameter.requires_grad
        ]
        self.report.start(
            f"{self.title} {self.folder.path.name}", self.steps.last - self.steps.first
        )
        self.report.advance(self.state.step - self.steps.first)
        self.method.train()
        self._start = time.monotonic() - self.state.seconds
        self._pace = StepPace(self.state.step)

    def train_step(self, step: int) -> None:
        """Make one optimizer step, then move the teacher's average.

        The gradients of all parts of the batch are added up and clipped.

        Raises:
            TrainError: the loss is not finite; the weights are as before the step.
        """
        progress = self.steps.progress(step)
        set_learning_rate(self._fabric_optimizer, progress)
        torch.manual_seed(step_seed(self.config.seed, step, self.devices.rank))
        batch = self.batches.read(step)
        for number, (labelled, unlabelled) in enumerate(batch.parts, 1):
            more_to_come = number < len(batch.parts)  # processes exchange gradients once a step
            with self.devices.fabric.no_backward_sync(self._fabric_method, enabled=more_to_come):
                with self.devices.autocast():
                    result = self._fabric_method(labelled, unlabelled, progress)
                self.devices.fabric.backward(result.loss / len(batch.parts))
            self._loss = float(result.loss.detach())
            self.state.add_logs(result.logs | {"loss": result.loss.detach()})
        norm = clip_gradients(self._trained)
        require_finite(norm, result.loss.detach(), step, batch.frames)
        self._fabric_optimizer.step()
        self._fabric_optimizer.zero_grad(set_to_none=True)
        self.method.after_step(step - self.steps.first)
        self.state.step = step + 1

    def evaluate(self) -> None:
        """Add a line of results; keep the teacher's weights if they are the candidate by now.

        Needs all processes: they share the frames, and the main one writes.
        """
        began = time.monotonic()
        row = self.state.take_mean_logs() | learning_rates(self._fabric_optimizer)
        counts = self._count_while_training("ema", self.method.teacher)
        row["miou_ema"] = miou(counts)
        row |= self.validation.class_ious(counts)
        if self.config.eval_student:
            student = self._count_while_training("student", self.method.student)
            row["miou_student"] = miou(student)
        is_candidate = self.state.add_evaluation(row)
        if self.devices.is_main:
            if is_candidate:
                save_weights(self.folder.path, "best", self.method.teacher)
            is_last = self.state.step == self.steps.last
            self.record.add_evaluation(self.state, self.method.teacher, counts, is_last=is_last)
        self.method.train()
        self.state.evaluation_seconds += time.monotonic() - began
        self._read_clock()

    def save(self) -> None:
        """Write a checkpoint that a resumed run goes on from."""
        if self.devices.is_main:
            self._read_clock()
            raw_optimizer = self._fabric_optimizer.optimizer
            self.folder.checkpoints.save(self.method, raw_optimizer, self.state)

    def save_snapshot(self) -> None:
        """Keep the teacher's weights of this step, for a staged method that compares them."""
        if self.devices.is_main:
            name = f"step-{self.state.step:08d}"
            save_weights(self.folder.path, name, self.method.teacher)

    def finish(self) -> RunResult:
        """Write the last weights and metrics.json, then a page on val; needs all processes.

        Raises:
            TrainError: val gives no number, so nobody can say what the weights are worth.
        """
        self.report.stop()
        self.batches.close()
        self.devices.fabric.barrier()
        if self.devices.is_main:
            save_weights(self.folder.path, "last", self.method.teacher)
        last = self._final_counts["ema"]
        shipped = choose_shipped(
            self.folder.path, self.method.teacher, self.state, self.validation, last, self.devices
        )
        if math.isnan(shipped.miou):
            raise TrainError(
                f"{self.folder.path} has no evaluation on val whose mIoU is a number, so nobody "
                "can say what its weights are worth; check the val frames with `edgeseg status`, "
                "then start a new run"
            )
        if not self.devices.is_main:
            return RunResult(self.folder.path, shipped.miou, {})
        for note in run_notes(self.state, self.validation, last, shipped):
            self.report.say(f"note: {note}")
        metrics = self.validation.summary(self.state, self._final_counts, shipped)
        result = self.folder.finish(metrics)  # whatever happens from here on, the run is over
        return self.record.write_page(self.state, self.method.teacher, shipped, result)

    def _count_while_training(self, name: str, network: Network) -> Counts:
        """(C, C) of a network on some val frames; after the last step it keeps those of all."""
        validation, device = self.validation, self.devices.device
        if self.state.step < self.steps.last:
            return np.asarray(validation.count(network, validation.places, device).sum(0))
        counts = validation.count(network, validation.final_places, device)
        self._final_counts[name] = counts
        return np.asarray(counts[np.isin(validation.final_places, validation.places)].sum(0))

    def _read_clock(self) -> None:
        self.state.seconds = time.monotonic() - self._start

    def _figures_now(self) -> str:
        """Return the figures worth seeing in the bar: loss of the last part, latest mIoU."""
        loss = f"loss {self._loss:.3f}"
        return f"{loss}, mIoU {self.state.rows[-1]['miou_ema']:.1f}" if self.state.rows else loss

    def _tell_duration(self) -> None:
        estimate = self._pace.estimate(
            self.state.step, self.steps.last, self.state.evaluation_seconds
        )
        if estimate is not None:
            self.report.say(estimate)


@dataclass(frozen=True)
class StepRange:
    """The part of a run's step budget that one training has.

    It is all of it unless the method works in stages.

    Attributes:
        first: Number of steps done before it.
        last: Number of steps done after it.
        snapshots: Numbers of steps after which the teacher's weights are kept in a file of their
            own.
        seconds: Time spent on the stages before it.
    """

    first: int
    last: int
    snapshots: frozenset[int] = frozenset()
    seconds: float = 0.0

    def progress(self, step: int) -> float:
        """Share of the training that is done before `step`, from 0 to below 1."""
        return (step - self.first) / (self.last - self.first)


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of torch's generator for one step of one process, from 0 to 2^63 - 1."""
    state = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    return int(state[0] >> 1)
