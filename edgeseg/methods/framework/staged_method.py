"""Methods in several trainings, one after the other: a teacher, labels of the footage, a student,
and so on.

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
from edgeseg.losses.cross_entropy import cross_entropy, upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.models import Network
from edgeseg.site import Frame


class Stages(Protocol):
    """What a staged method may do. All results are kept, so a run that was killed goes on where it
    was.

    Attributes:
        config: of the whole run.
        classes: their number.
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
            name: of the stage, for its folder.
            share: of the run's step budget.
            labels: masks of the footage from `label`; without them footage has none.
            frames: only these frames of the footage.
            start: weights to start from instead.
            keep: shares of the stage at which `snapshots` keeps weights.
            last: the stage is the run's result.
        """

    def snapshots(self, name: str) -> list[Path]:
        """Weights that the stage `name` kept on the way, oldest first."""

    def label(
        self, name: str, weights: Path, frames: Sequence[Frame] | None = None, *, views: int = 6
    ) -> Path:
        """Label footage by the mean of up to 6 views (three scales, flipped or not); returns the
        folder of masks.
        """

    def mask(self, labels: Path, frame: Frame) -> Mask:
        """(H, W) uint8 from a folder that `label` made."""

    def network(self, weights: Path) -> Network:
        """A frozen network, in eval mode."""


class Learner(Method):
    """Cross-entropy on labelled frames and on pseudo-labelled footage with strong colors and
    CutOut (ST).

    With `pseudo_only` the labelled frames are left out (Naive Student).
    """

    def __init__(self, kit: MethodContext, *, pseudo_only: bool = False) -> None:
        super().__init__(kit.student, kit.pixels, kit.config.ema, kit.config.class_balance)
        self._pseudo_only, self._color, self._weight = (
            pseudo_only,
            kit.config.strong,
            kit.config.unlabelled_weight,
        )

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        clean = (
            unlabelled.images
            if self._pseudo_only
            else torch.cat([labelled.images, unlabelled.images])
        )
        self.teacher_forward(clean)
        if self._pseudo_only and len(unlabelled.images) == 1:
            unlabelled = Batch(
                *(torch.cat([part, part]) for part in unlabelled)
            )  # batch norm cannot do with one
        images, masks = self.disturb(unlabelled)
        number = 0 if self._pseudo_only else len(labelled.images)
        seen = images if self._pseudo_only else torch.cat([labelled.images, images])
        logits = self.student(self.normalize(seen)).logits
        found = upsample(logits[number:], (masks.shape[1], masks.shape[2]))
        pseudo = cross_entropy(found, masks)
        logs = {
            "unlabelled": pseudo.detach(),
            "kept": (masks != IGNORE).sum() / unlabelled.valid.sum().clamp(min=1),
        }
        if self._pseudo_only:
            return StepResult(pseudo, logs)
        supervised = self.supervised(logits[:number], labelled.masks)
        return StepResult(
            supervised + self._weight * pseudo, logs | {"supervised": supervised.detach()}
        )

    def disturb(self, unlabelled: Batch) -> tuple[Tensor, Tensor]:
        """The student's view of footage (B, 3, H, W) and its labels (B, H, W)."""
        images = strong_augment(unlabelled.images) if self._color else unlabelled.images
        return cutout(images, unlabelled.masks)


def learner(kit: MethodContext) -> Method:
    """For `Stages.train`."""
    return Learner(kit)


StagedMethod = Callable[[Stages], Path]
