"""Distillation: the edge model learns from the labels and from the frozen site model.

It is one more method given to the training loop: cross-entropy on labels, temperature-scaled KL
divergence on all frames (Hinton et al., 2015). The student sees strong colors, the site model the
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
from edgeseg.losses.distillation import distillation_loss
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods import Batch, Method, StepResult
from edgeseg.models import Network
from edgeseg.models.model_files import load_model
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site
from edgeseg.training.fit import TrainingSpec, fit
from edgeseg.training.initial_weights import build_initial_network, refuse_frozen_random_encoder
from edgeseg.training.run_folder import RunResult, remember_origins


def distill(
    site: Site,
    config: DistillConfig | None = None,
    teacher: Path | None = None,
    out: Path | None = None,
    *,
    resume: bool = False,
    init: Path | None = None,
    focus: frozenset[str] = frozenset(),
    report: ProgressReporter | None = None,
) -> RunResult:
    """Train the edge model from the best weights of a site model.

    Args:
        site: The site whose frames are read.
        config: Settings of the distillation; `site.config.distill` if left out.
        teacher: The site model's run; the newest train run if left out. A resumed run remembers it.
        out: The run folder; a new `runs/distill/expN` if left out, the newest one to resume.
        resume: Continue the run in `out` from its newest checkpoint; a finished run is returned as
            it is.
        init: A run whose best weights are the start; a resumed run remembers it.
        focus: Ids of unlabelled frames that make up half of every unlabelled batch.
        report: Shows the progress.

    Raises:
        TrainError: the run cannot start or cannot go on, or the teacher has other classes.
        DataError: frames are missing or damaged.
    """
    settings = config or site.config.distill
    folder = out or site.run_folder("distill", resume=resume)
    teacher = teacher if teacher or resume else site.newest_finished_run("train")
    given = {"teacher": teacher, "init": init}
    origins = remember_origins(site.root, folder, given, resume=resume, report=report)
    teacher, init = origins["teacher"], origins["init"]
    if teacher is None:
        raise TrainError(f"{folder} does not say which site model it learns from; name that run")
    refuse_frozen_random_encoder(settings, init)
    site_model = load_model(teacher)
    if site_model.card.classes != site.config.classes:
        raise TrainError(
            f"{teacher} was trained with other classes than edgeseg.toml has now; "
            "train the site model again"
        )
    report = report or NullReporter()
    if site_model.card.fit != (fit_now := site.config.data.fit):
        report.say(
            f"note: {teacher} was trained with data.fit {site_model.card.fit!r} and teaches with "
            f"{fit_now!r}, pixels that it has not learnt; `edgeseg train` makes one that has"
        )

    def make_method(pixels: Tensor) -> Method:
        student = build_initial_network(
            settings, len(site.config.classes), init, root=site.root, run=folder
        )
        return Distillation(student, pixels, settings, site_model.module)

    spec = TrainingSpec(
        site=site, config=settings, out=folder, make_method=make_method, focus=focus, title="distil"
    )
    return fit(spec, resume=resume, report=report)


class Distillation(Method):
    """Cross-entropy on labels, and distillation from the frozen site model on all frames.

    Attributes:
        student: The edge model.
        teacher: Its moving average, as in every method; not the site model.
        source: The site model, whose input may be normalized in another way than the student's.
    """

    source_mean: Tensor
    source_std: Tensor

    def __init__(
        self, student: Network, pixels: Tensor, config: DistillConfig, site_model: Network
    ) -> None:
        super().__init__(student, pixels, config.ema, config.class_balance)
        self.temperature, self.kl_weight = config.temperature, config.kl_weight
        self.source = site_model.requires_grad_(False)  # its name in checkpoints
        mean, std = site_model.normalization.tensors()
        self.register_buffer("source_mean", mean, persistent=False)
        self.register_buffer("source_std", std, persistent=False)

    def train(self, mode: bool = True) -> Distillation:
        super().train(mode)
        self.source.eval()
        return self

    def normalize_for_source(self, images: Tensor) -> Tensor:
        """Return RGB images 0..1 as the site model expects them."""
        normalized = (images - self.source_mean) / self.source_std
        return normalized.contiguous(memory_format=torch.channels_last)

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        clean = torch.cat([labelled.images, unlabelled.images])
        self.teacher_forward(clean)
        valid = torch.cat([labelled.valid, unlabelled.valid])
        with torch.no_grad():
            site_model_logits = self.source(self.normalize_for_source(clean)).logits
        logits = self.student(self.normalize(strong_augment(clean))).logits
        size = (logits.shape[2], logits.shape[3])
        valid = F.interpolate(valid[:, None].float(), size=size, mode="nearest-exact")[:, 0] > 0
        supervised = self.supervised_loss(logits[: len(labelled.images)], labelled.masks)
        target = upsample(site_model_logits, size)
        imitation = distillation_loss(logits, target, valid, self.temperature)
        loss = supervised + self.kl_weight * imitation
        logs = {"supervised": supervised.detach(), "imitation": imitation.detach()}
        return StepResult(loss, logs)
