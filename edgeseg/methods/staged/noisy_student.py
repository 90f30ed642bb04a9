"""Noisy Student (Xie et al., CVPR 2020, arXiv 1911.04252): soft labels, noise on the student alone.

Noise is strong colors, CutOut and dropped feature channels. The teacher is frozen and labels the
very view the student sees, undisturbed; after half of the student's steps the student becomes the
teacher of the next one.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from edgeseg.data.augment import cutout, strong_augment
from edgeseg.distributed import distributed_masked_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.consistency import soft_cross_entropy
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.feature_perturbation import channel_dropout
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.staged_method import Stages
from edgeseg.methods.online.suponly import suponly
from edgeseg.models import Network

ROUNDS = 2
CHANNEL_DROPOUT = 0.1


class NoisyStudent(Method):
    """Soft cross-entropy against a frozen network's prediction of the clean view."""

    def __init__(self, context: MethodContext, source: Network) -> None:
        config = context.config
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        self.source = source
        self._weight, self._strong_colors = config.unlabelled_weight, config.strong

    def train(self, mode: bool = True) -> NoisyStudent:
        super().train(mode)
        self.source.eval()
        return self

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        self.teacher_forward(torch.cat([labelled.images, unlabelled.images]))
        size = unlabelled.size
        with torch.no_grad():
            source_logits = self.source(self.normalize(unlabelled.images)).logits
            probability = upsample(source_logits, size).softmax(1)
        images = strong_augment(unlabelled.images) if self._strong_colors else unlabelled.images
        images, holes = cutout(images, torch.where(unlabelled.valid, 0, IGNORE))
        features = self.student.encode(self.normalize(torch.cat([labelled.images, images])))
        logits = self.student.decode(channel_dropout(features, CHANNEL_DROPOUT))
        number = len(labelled.images)
        supervised = self.supervised_loss(logits[:number], labelled.masks)
        visible = (holes != IGNORE).float()
        soft_loss = distributed_masked_mean(
            soft_cross_entropy(upsample(logits[number:], size), probability), visible
        )
        logs = {"supervised": supervised.detach(), "unlabelled": soft_loss.detach()}
        return StepResult(supervised + self._weight * soft_loss, logs)


def noisy_student(stages: Stages) -> Path:
    """Equal shares of the steps for the teacher and each student."""
    share = 1 / (ROUNDS + 1)
    weights = stages.train("teacher", share, suponly)
    for number in range(1, ROUNDS + 1):
        make = partial(NoisyStudent, source=stages.network(weights))
        weights = stages.train(f"student-{number}", share, make, last=number == ROUNDS)
    return weights
