"""Noisy Student (Xie et al., CVPR 2020, arXiv 1911.04252): soft labels of a clean teacher, noise on
the student alone.

Noise is strong colors, CutOut and dropped feature channels. The teacher is frozen and labels the
very view the student sees, undisturbed; after half of the student's steps the student becomes the
teacher of the next one.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from edgeseg.data.augment import cutout, strong_augment
from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.consistency import soft_cross_entropy
from edgeseg.losses.cross_entropy import upsample
from edgeseg.methods.framework.feature_perturbation import channel_dropout
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.staged_method import Stages
from edgeseg.methods.online.suponly import suponly
from edgeseg.models import Network

ROUNDS = 2
DROPPED = 0.1  # chance of a channel


class NoisyStudent(Method):
    """Soft cross-entropy to a frozen network's clean view."""

    def __init__(self, kit: MethodContext, source: Network) -> None:
        super().__init__(kit.student, kit.pixels, kit.config.ema, kit.config.class_balance)
        self.source, self._weight, self._color = (
            source,
            kit.config.unlabelled_weight,
            kit.config.strong,
        )

    def train(self, mode: bool = True) -> NoisyStudent:
        super().train(mode)
        self.source.eval()
        return self

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        self.teacher_forward(torch.cat([labelled.images, unlabelled.images]))
        size = (unlabelled.images.shape[2], unlabelled.images.shape[3])
        with torch.no_grad():
            probability = upsample(
                self.source(self.normalize(unlabelled.images)).logits, size
            ).softmax(1)
        noisy = strong_augment(unlabelled.images) if self._color else unlabelled.images
        images, hidden = cutout(noisy, torch.where(unlabelled.valid, 0, 255))
        features = self.student.encode(self.normalize(torch.cat([labelled.images, images])))
        logits = self.student.decode(channel_dropout(features, DROPPED))
        number = len(labelled.images)
        supervised = self.supervised(logits[:number], labelled.masks)
        seen = (hidden != IGNORE).float()
        soft = distributed_mean(
            (soft_cross_entropy(upsample(logits[number:], size), probability) * seen).sum(),
            seen.sum(),
        )
        logs = {"supervised": supervised.detach(), "unlabelled": soft.detach()}
        return StepResult(supervised + self._weight * soft, logs)


def noisy_student(stages: Stages) -> Path:
    """Equal shares for the teacher and each student."""
    share = 1 / (ROUNDS + 1)
    weights = stages.train("teacher", share, suponly)
    for number in range(1, ROUNDS + 1):
        make = partial(NoisyStudent, source=stages.network(weights))
        weights = stages.train(f"student-{number}", share, make, last=number == ROUNDS)
    return weights
