"""CutMix-Seg (French et al., 2020): a mean teacher whose student sees two frames mixed by a box."""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.losses.supervised import cross_entropy, upsample
from edgeseg.methods.method import Batch, Method, Schedule, StepResult
from edgeseg.methods.views import look
from edgeseg.models import Network


class CutMixMT(Method):
    """Class-balanced cross-entropy on labels and, half as much so, on the teacher's confident pseudo-labels."""

    def __init__(
        self, student: Network, pixels: Tensor, ema: float, class_balance: float, *,
        schedule: Schedule, confidence: float, cutmix: float, colour: bool,
    ) -> None:  # fmt: skip
        super().__init__(student, pixels, ema, class_balance)
        self.schedule, self.confidence, self.cutmix, self.colour = schedule, confidence, cutmix, colour

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.supervised_step(labelled)
        target = look(self, unlabelled, colour=self.colour, cutmix=self.cutmix)
        logits = self.student(self.normalise(torch.cat([labelled.images, target.images]))).logits
        number = len(labelled.images)
        supervised = self.supervised(logits[:number], labelled.masks)
        kept = target.valid & (target.confidence >= self.confidence)
        label = target.label.masked_fill(~kept, 255)
        found = upsample(logits[number:], (label.shape[1], label.shape[2]))
        share = kept.sum() / target.valid.sum().clamp(min=1)
        # Weighted by the kept share: divided by all valid pixels, as methods with a confidence threshold do it.
        consistency = cross_entropy(found, label, self.pseudo_weight) * share
        loss = supervised + weight * consistency
        logs = {"supervised": supervised.detach(), "unlabelled": consistency.detach(), "kept": share}
        return StepResult(loss, logs | {"pseudo": histogram(label, len(self.class_weight))})


def histogram(label: Tensor, classes: int) -> Tensor:
    """(C,) pixels of each pseudo-label, 255 left out."""
    return torch.bincount(label.flatten(), minlength=256)[:classes].float()
