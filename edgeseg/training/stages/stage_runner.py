"""Staged methods on a site: every stage is a run folder of its own.

They are under `stages/`, except for the last one, which is the run itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from edgeseg.atomic_files import write_json
from edgeseg.config import TrainConfig
from edgeseg.data.frame_reader import PseudoLabelReader, SiteFrameReader, read_pseudo_label
from edgeseg.distributed import barrier, rank, world_size
from edgeseg.errors import TrainError
from edgeseg.imaging.array_types import Mask
from edgeseg.methods import Method, MethodContext
from edgeseg.models import Network
from edgeseg.models.model_files import load_weights
from edgeseg.progress import ProgressReporter
from edgeseg.site import Frame, Site
from edgeseg.training.devices import trains_on_cuda
from edgeseg.training.fit import TrainingSpec, fit
from edgeseg.training.initial_weights import build_as_trained
from edgeseg.training.run_folder import RunResult
from edgeseg.training.stages.pseudo_labelling import write_pseudo_labels
from edgeseg.training.trainer import StepRange


class SiteStages:
    """The `edgeseg.methods.framework.staged_method.Stages` of a run folder.

    Stages that are finished are not trained again.
    """

    def __init__(
        self,
        site: Site,
        config: TrainConfig,
        out: Path,
        make_context: Callable[[Tensor], MethodContext],
        *,
        resume: bool,
        focus: frozenset[str],
        report: ProgressReporter,
    ) -> None:
        """Take what `edgeseg.training.train.train` was given.

        Args:
            site: The site whose frames are read.
            config: Settings of the whole run.
            out: The run folder.
            make_context: Makes what a method is built from, out of the labelled pixels of each
                class (C,).
            resume: Whether the folder may hold a run.
            focus: Ids of unlabelled frames that make up half of every unlabelled batch.
            report: Shows the progress.
        """
        self.config, self.classes = config, len(site.config.classes)
        self.footage: Sequence[Frame] = site.require("unlabelled")
        self._site, self._out, self._make_context = site, out, make_context
        self._resume, self._focus, self._report = resume, focus, report
        self._reader = SiteFrameReader(site, self.footage, config.imgsz, report=report)
        self._share_given = 0.0  # of the step budget, to the stages so far
        self._steps_done = 0  # in the stages before
        self._seconds = 0.0  # spent on them, and on the labelling between
        self._result: RunResult | None = None

    def result(self) -> RunResult:
        """The result of the last stage.

        Raises:
            TrainError: there was none.
        """
        if self._result is None:
            raise TrainError(
                f"the method {self.config.method} ended without a last stage; report this as a bug"
            )
        return self._result

    def train(
        self,
        name: str,
        share: float,
        make: Callable[[MethodContext], Method],
        *,
        labels: Path | None = None,
        frames: Sequence[Frame] | None = None,
        start: Path | None = None,
        keep: Sequence[float] = (),
        last: bool = False,
    ) -> Path:
        """See `Stages.train`."""
        steps = self._next_steps(share, keep, last=last)
        folder = self._out if last else self._out / "stages" / name
        footage = None
        if labels:
            labelled = self.footage if frames is None else frames
            footage = PseudoLabelReader(self._reader, labels, labelled)

        def make_method(pixels: Tensor) -> Method:
            context = self._make_context(pixels)
            if start:
                load_weights(context.student, start)
            # A method counts the steps of its own stage.
            config = context.config.model_copy(update={"steps": steps.last - steps.first})
            return make(replace(context, config=config))

        spec = TrainingSpec(
            site=self._site,
            config=self.config,
            out=folder,
            make_method=make_method,
            steps=steps,
            focus=self._focus,
            footage=footage,
            title=f"{self.config.method} {name}",
        )
        result = fit(spec, resume=self._resume or not last, report=self._report)
        barrier()  # until the first process has written the weights
        self._steps_done = steps.last
        self._seconds = float(result.metrics.get("seconds", 0.0))
        self._result = result
        return folder / "weights" / "last.safetensors"

    def snapshots(self, name: str) -> list[Path]:
        """See `Stages.snapshots`."""
        return sorted((self._out / "stages" / name / "weights").glob("step-*.safetensors"))

    def network(self, weights: Path) -> Network:
        """See `Stages.network`."""
        module = build_as_trained(self.config, self.classes, weights.parents[1])
        load_weights(module, weights)
        return module.requires_grad_(False).eval()

    def mask(self, labels: Path, frame: Frame) -> Mask:
        """See `Stages.mask`."""
        return read_pseudo_label(labels, frame)

    def label(
        self, name: str, weights: Path, frames: Sequence[Frame] | None = None, *, views: int = 6
    ) -> Path:
        """See `Stages.label`; masks are at training size.

        They are complete when `done.json` is there.
        """
        folder = self._out / "stages" / name
        frames = self.footage if frames is None else frames
        done, start = folder / "done.json", time.monotonic()
        finished = json.loads(done.read_bytes()) if done.exists() else None
        barrier()  # no process may look when another has already finished
        if finished is not None:
            self._seconds += float(finished.get("seconds", 0.0))
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        device = torch.device("cuda" if trains_on_cuda(self.config) else "cpu")
        own_share = list(frames)[rank() :: world_size()]
        self._report.start(f"{self.config.method} {name}", len(own_share))
        write_pseudo_labels(
            self.network(weights).to(device),
            self._reader,
            own_share,
            folder,
            views=views,
            device=device,
            report=self._report,
        )
        self._report.stop()
        barrier()
        seconds = time.monotonic() - start  # of the last go, if it was cut off
        self._seconds += seconds
        write_json(done, {"frames": len(frames), "seconds": seconds})
        return folder

    def _next_steps(self, share: float, snapshots: Sequence[float], *, last: bool) -> StepRange:
        """The steps of the next stage, which has `share` of the budget.

        Shares are added before they are rounded: of 100 steps, three stages of 1/3 get 33, 34 and
        33 (the ends are at 33.3, 66.7 and 100).

        Args:
            share: Share of the run's steps.
            snapshots: Shares of the stage after which weights are kept.
            last: The stage takes all steps that are left.

        Raises:
            TrainError: no step is left for it, or for those after it.
        """
        self._share_given += share
        total, first = self.config.steps, self._steps_done
        end = total if last else round(self._share_given * total)
        if end <= first or (end == total and not last):
            raise TrainError(
                f"{total} steps are too few for the stages of {self.config.method}; "
                "take 100 or more"
            )
        kept = frozenset(first + round(part * (end - first)) for part in snapshots)
        return StepRange(first, end, kept, self._seconds)
