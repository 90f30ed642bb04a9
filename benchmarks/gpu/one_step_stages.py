"""Staged methods whose trainings are a single step each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from edgeseg.config import TrainConfig
from edgeseg.methods import Method, MethodContext
from edgeseg.models.model_files import load_weights, save_weights
from edgeseg.progress import NullReporter
from edgeseg.site import Frame, Site
from edgeseg.training.stages.stage_runner import SiteStages


class Step(NamedTuple):
    """The loss of a step, and the norm of its gradient."""

    loss: float
    gradient: float


class OneStepStages:
    """The `edgeseg.methods.framework.staged_method.Stages` of steps instead of trainings.

    Footage is labelled as in a real run. A stage ends with the weights it began with: those of two
    devices would differ after a step of AdamW, which moves each weight by the sign of its gradient.

    Attributes:
        steps: Of the first stage of each kind, such as teacher and student.
    """

    def __init__(
        self,
        site: Site,
        config: TrainConfig,
        out: Path,
        make_context: Callable[[Tensor], MethodContext],
        step: Callable[[Method, Path | None], Step],
    ) -> None:
        """Take what makes a method, and what makes a step with it and a folder of labels."""
        self._site_stages = SiteStages(
            site, config, out, make_context, resume=False, focus=frozenset(), report=NullReporter()
        )
        self.config, self.classes = config, len(site.config.classes)
        self.footage = self._site_stages.footage
        self.steps: list[Step] = []
        self._out, self._make_context, self._step = out, make_context, step
        self._kinds: set[tuple[str, type[Method]]] = set()
        self.label, self.mask = self._site_stages.label, self._site_stages.mask
        self.network, self.snapshots = self._site_stages.network, self._site_stages.snapshots

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
        context = self._make_context(torch.ones(self.classes))
        if start:
            load_weights(context.student, start)
        folder = self._out / "stages" / name
        for file in ("last", *(f"step-{number}" for number, _ in enumerate(keep))):
            save_weights(folder, file, context.student)
        method = make(context)
        kind = (name.split("-")[0], type(method))
        if kind not in self._kinds:
            self._kinds.add(kind)
            self.steps.append(self._step(method, labels))
        return folder / "weights" / "last.safetensors"
