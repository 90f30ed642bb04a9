"""Methods in stages, one training after the other: a teacher, labels of the footage, a student.

A staged method is a function that is given `Stages` and calls it; every training is the same loop
with a method of its own. Shares of the step budget are given, so that a staged method costs as many
optimizer steps as an online one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from edgeseg.config import TrainConfig
from edgeseg.data.augment import cutout, strong_augment
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.models import Network
from edgeseg.site import Frame


class Stages(Protocol):
    """The operations of a staged method; all results are kept, so that a killed run can go on.

    Attributes:
        config: the configuration of the whole run.
        classes: number of classes.
        footage: the unlabelled frames.
    """

    config: TrainConfig
    classes: int
    footage: Sequence[Frame]

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
        """Train from the encoder's weights and return the weights file of the average at the end.

        Args:
            name: name of the stage and of its folder.
            share: the stage's share of the run's step budget.
            make: makes the method that is trained.
            labels: masks of the footage from `label`; without them footage has none.
            frames: only these frames of the footage.
            start: weights to start from instead.
            keep: shares of the stage after which weights are kept for `snapshots`.
            last: the stage is the run's result.
        """

    def snapshots(self, name: str) -> list[Path]:
        """Weights that the stage `name` kept on the way, oldest first."""

    def label(
        self, name: str, weights: Path, frames: Sequence[Frame] | None = None, *, views: int = 6
    ) -> Path:
        """Label footage by the mean of up to six views (three scales, flipped or not).

        Returns:
            The folder of masks.
        """

    def mask(self, labels: Path, frame: Frame) -> Mask:
        """Read the mask (H, W) of a frame from a folder that `label` made."""

    def network(self, weights: Path) -> Network:
        """A frozen network in eval mode."""


class SelfTraining(Method):
    """Cross-entropy on labelled frames, and on pseudo-labelled footage with strong views (ST).

    The strong views are colors and CutOut. With `pseudo_only` the labelled frames are left out
    (Naive Student).
    """

    def __init__(self, context: MethodContext, *, pseudo_only: bool = False) -> None:
        config = context.config
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        self._pseudo_only = pseudo_only
        self._strong_colors = config.strong
        self._weight = 1.0 if pseudo_only else config.unlabelled_weight

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        clean = (
            unlabelled.images
            if self._pseudo_only
            else torch.cat([labelled.images, unlabelled.images])
        )
        self.teacher_forward(clean)
        if self._pseudo_only and len(unlabelled.images) == 1:
            unlabelled = duplicated(unlabelled)
        images, masks = self.strong_view(unlabelled)
        number = 0 if self._pseudo_only else len(labelled.images)
        inputs = images if self._pseudo_only else torch.cat([labelled.images, images])
        logits = self.student(self.normalize(inputs)).logits
        pseudo_logits = upsample(logits[number:], unlabelled.size)
        pseudo_loss = cross_entropy(pseudo_logits, masks)
        logs = {
            "unlabelled": pseudo_loss.detach(),
            "kept": (masks != IGNORE).sum() / unlabelled.valid.sum().clamp(min=1),
        }
        if self._pseudo_only:
            return StepResult(pseudo_loss, logs)
        supervised = self.supervised_loss(logits[:number], labelled.masks)
        logs |= {"supervised": supervised.detach()}
        return StepResult(supervised + self._weight * pseudo_loss, logs)

    def strong_view(self, unlabelled: Batch) -> tuple[Tensor, Tensor]:
        """The student's view of footage (B, 3, H, W) and its labels (B, H, W)."""
        images = strong_augment(unlabelled.images) if self._strong_colors else unlabelled.images
        return cutout(images, unlabelled.masks)


def duplicated(batch: Batch) -> Batch:
    """The batch twice over: batch norm cannot take statistics of a single frame."""
    return Batch(*(torch.cat([part, part]) for part in batch))


def self_training(context: MethodContext) -> Method:
    """ST's student, for `Stages.train`."""
    return SelfTraining(context)


StagedMethod = Callable[[Stages], Path]
