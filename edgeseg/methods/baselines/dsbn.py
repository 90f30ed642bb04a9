"""DSBN, "A Simple Baseline" (Yuan et al., ICCV 2021, arXiv 2104.07256): strong views get batch
norms of their own.

A supervised teacher labels the footage once. The student's batch norms exist twice, with weights
and statistics: one set for the weak views of labelled frames, which is shipped, one for the strong
views of footage. A loss that corrects itself obeys a pseudo-label the more, the surer the student
is (`losses.consistency.symmetric_cross_entropy`).

Simplified: strong views are this project's colors and CutOut instead of RandAugment.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from edgeseg.data.augment import cutout, strong_augment
from edgeseg.distributed import distributed_mean
from edgeseg.errors import TrainError
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.consistency import symmetric_cross_entropy
from edgeseg.losses.cross_entropy import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.staged_method import Stages
from edgeseg.methods.online.suponly import suponly
from edgeseg.models import Output


class DSBN(Method):
    """One pass over labelled frames with the student's own batch norms, one over footage with the
    second set.
    """

    def __init__(self, kit: MethodContext) -> None:
        super().__init__(kit.student, kit.pixels, kit.config.ema, kit.config.class_balance)
        norms = {
            n: m
            for n, m in self.student.named_modules()
            if isinstance(m, nn.modules.batchnorm._BatchNorm)
        }
        self._names = list(norms)
        self.second = nn.ModuleList(copy.deepcopy(norm) for norm in norms.values())
        self._color, self._weight = kit.config.strong, kit.config.unlabelled_weight

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        self.teacher_forward(torch.cat([labelled.images, unlabelled.images]))
        if len(unlabelled.images) == 1:  # in two views: batch norm cannot do with one value
            unlabelled = Batch(*(torch.cat([part, part]) for part in unlabelled))
        images = strong_augment(unlabelled.images) if self._color else unlabelled.images
        images, label = cutout(images, unlabelled.masks)
        supervised = self.supervised(
            self.student(self.normalize(labelled.images)).logits, labelled.masks
        )
        found = upsample(self.strongly(images).logits, (label.shape[1], label.shape[2]))
        known = label != IGNORE
        pseudo = distributed_mean(symmetric_cross_entropy(found, label).sum(), known.sum())
        kept = known.sum() / unlabelled.valid.sum().clamp(min=1)
        logs = {"supervised": supervised.detach(), "unlabelled": pseudo.detach(), "kept": kept}
        return StepResult(supervised + self._weight * pseudo, logs)

    def strongly(self, images: Tensor) -> Output:
        """What the student says about images 0..1 through the second set, whose statistics are
        updated in place.
        """
        tensors = {
            f"{name}.{key}": tensor
            for name, norm in zip(self._names, self.second)
            for key, tensor in [*norm.named_parameters(), *norm.named_buffers()]
        }
        output: Output = functional_call(self.student, tensors, self.normalize(images))
        return output


def dsbn(stages: Stages) -> Path:
    """Half of the steps for the teacher, half for the student.

    Raises:
        TrainError: checkpointing is on.
    """
    if stages.config.checkpointing:
        raise TrainError(
            "dsbn swaps batch norms within a step, and checkpointing would compute activations anew with the wrong "
            "ones; set train.checkpointing to false, or split the batch with train.accumulate"
        )
    teacher = stages.train("teacher", 0.5, suponly)
    return stages.train("student", 0.5, DSBN, labels=stages.label("labels", teacher), last=True)
