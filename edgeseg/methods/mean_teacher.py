"""Mean Teacher (Tarvainen and Valpola, 2017): the student follows the softmax of its own average on noisy frames."""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.losses.supervised import upsample
from edgeseg.methods.method import Batch, Method, Schedule, StepResult
from edgeseg.models import Network

WEIGHT = 10.0  # of the squared error: on probabilities its gradients are small beside those of a cross-entropy


class MeanTeacher(Method):
    """Cross-entropy on labelled frames, mean squared error of the softmax on unlabelled ones."""

    def __init__(
        self, student: Network, pixels: Tensor, ema: float, class_balance: float, *, schedule: Schedule
    ) -> None:
        super().__init__(student, pixels, ema, class_balance)
        self.schedule = schedule

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.supervised_step(labelled)
        size = (unlabelled.images.shape[2], unlabelled.images.shape[3])
        target = upsample(self.look_at(unlabelled.images), size).softmax(1)
        noisy = (unlabelled.images + 0.05 * torch.randn_like(unlabelled.images)).clamp(0, 1)
        logits = self.student(self.normalise(torch.cat([labelled.images, noisy]))).logits
        number = len(labelled.images)
        supervised = self.supervised(logits[:number], labelled.masks)
        found = upsample(logits[number:], size).softmax(1)
        error = ((found - target) ** 2).mean(1)
        consistency = (error * unlabelled.valid).sum() / unlabelled.valid.sum().clamp(min=1)
        loss = supervised + weight * WEIGHT * consistency
        return StepResult(loss, {"supervised": supervised.detach(), "unlabelled": consistency.detach()})
