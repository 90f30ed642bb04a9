"""Distillation: the edge model learns from the labels and from the frozen site model, on all frames
of the site.

A student's loss is one more method given to the loop: cross-entropy on labels, temperature-scaled
KL divergence on all frames (Hinton et al., 2015). The student sees strong colors, the teacher the
clean view of the same crop.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.config import DistillConfig
from edgeseg.data.augment import strong_augment
from edgeseg.errors import TrainError
from edgeseg.losses.cross_entropy import upsample
from edgeseg.losses.distillation import distillation_loss
from edgeseg.methods import Batch, Method, StepResult
from edgeseg.models import Network, build_network
from edgeseg.models.model_files import load_model
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site
from edgeseg.training.run_folder import RunResult, remember_origins
from edgeseg.training.trainer import fit, load_initial_weights, refuse_frozen_random_encoder


def distill(
    site: Site,
    config: DistillConfig,
    teacher: Path | None,
    out: Path,
    *,
    resume: bool = False,
    init: Path | None = None,
    focus: frozenset[str] = frozenset(),
    report: ProgressReporter | None = None,
) -> RunResult:
    """Train the edge model into the run folder `out` from the best weights of the site-model run
    `teacher`.

    On resumption `teacher` and `init` may be left out: the run remembers them.

    Raises:
        TrainError: the run cannot start or cannot go on, or the teacher has other classes.
        DataError: frames are missing or damaged.
    """
    origins = remember_origins(out, {"teacher": teacher, "init": init}, resume=resume)
    teacher, init = origins["teacher"], origins["init"]
    if teacher is None:
        raise TrainError(f"{out} does not say which site model it learns from; name that run")
    refuse_frozen_random_encoder(config, init)
    source = load_model(teacher)
    if source.card.classes != site.config.classes:
        raise TrainError(
            f"{teacher} was trained with other classes than edgeseg.toml has now; train the site model again"
        )

    def method(pixels: Tensor) -> Method:
        classes = len(site.config.classes)
        student = build_network(
            config.arch,
            config.encoder,
            classes,
            "none" if init else config.weights,
            size=config.imgsz,
        )
        if init:
            load_initial_weights(student, init, config)
        student.save_memory(
            freeze_encoder=config.freeze_encoder, checkpointing=config.checkpointing
        )
        return Distillation(student, pixels, config, source.module)

    return fit(
        site,
        config,
        out,
        method,
        resume=resume,
        focus=focus,
        report=report or NullReporter(),
        title="distil",
    )


class Distillation(Method):
    """The loop's `student` is the edge model, `teacher` its average; `source` is the frozen site
    model.
    """

    def __init__(
        self, student: Network, pixels: Tensor, config: DistillConfig, source: Network
    ) -> None:
        super().__init__(student, pixels, config.ema, config.class_balance)
        self.temperature, self.kl_weight = config.temperature, config.kl_weight
        self.source = source.requires_grad_(False)

    def train(self, mode: bool = True) -> Distillation:
        super().train(mode)
        self.source.eval()
        return self

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        clean = torch.cat([labelled.images, unlabelled.images])
        self.teacher_forward(clean)
        valid = torch.cat([labelled.valid, unlabelled.valid])
        with torch.no_grad():
            target = self.source(self.normalize(clean)).logits
        logits = self.student(self.normalize(strong_augment(clean))).logits
        size = (logits.shape[2], logits.shape[3])
        near = F.interpolate(valid[:, None].float(), size=size, mode="nearest-exact")[:, 0] > 0
        supervised = self.supervised(logits[: len(labelled.images)], labelled.masks)
        imitation = distillation_loss(logits, upsample(target, size), near, self.temperature)
        loss = supervised + self.kl_weight * imitation
        return StepResult(
            loss, {"supervised": supervised.detach(), "imitation": imitation.detach()}
        )
