"""DSBN, "A Simple Baseline" (Yuan et al., ICCV 2021, arXiv 2104.07256): two sets of batch norms.

A supervised teacher labels the footage once. The student's batch norms exist twice, with weights
and statistics: one set for the weak views of labelled frames, which is shipped, one for the strong
views of footage. A loss that corrects itself follows a pseudo-label where the student is in doubt,
and hardly where the student is sure of something else (`losses.consistency.self_correction_loss`).
Its two terms are weighted as in the official code; the paper's equation was not at hand.

Simplified: strong views are this project's colors and CutOut instead of RandAugment; the loss is
divided by the labelled pixels, in the official code by all.
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
from edgeseg.losses.consistency import self_correction_loss
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.staged_method import Stages, duplicated
from edgeseg.methods.online.suponly import suponly
from edgeseg.models import Output


class DSBN(Method):
    """A pass over labelled frames with the student's batch norms, one over footage with the others.

    Attributes:
        second: the second set of batch norms.
    """

    def __init__(self, context: MethodContext) -> None:
        config = context.config
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        norms = {
            name: module
            for name, module in self.student.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        }
        self._names = list(norms)
        self.second = nn.ModuleList(copy.deepcopy(norm) for norm in norms.values())
        self._strong_colors, self._weight = config.strong, config.unlabelled_weight

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        self.teacher_forward(torch.cat([labelled.images, unlabelled.images]))
        if len(unlabelled.images) == 1:
            unlabelled = duplicated(unlabelled)
        images = strong_augment(unlabelled.images) if self._strong_colors else unlabelled.images
        images, label = cutout(images, unlabelled.masks)
        supervised = self.supervised_loss(
            self.student(self.normalize(labelled.images)).logits, labelled.masks
        )
        logits = upsample(self.forward_with_second_norms(images).logits, unlabelled.size)
        known = label != IGNORE
        pseudo_loss = distributed_mean(self_correction_loss(logits, label).sum(), known.sum())
        kept = known.sum() / unlabelled.valid.sum().clamp(min=1)
        logs = {"supervised": supervised.detach(), "unlabelled": pseudo_loss.detach(), "kept": kept}
        return StepResult(supervised + self._weight * pseudo_loss, logs)

    def forward_with_second_norms(self, images: Tensor) -> Output:
        """Output of the student on images 0..1 through the second set of batch norms.

        The set's statistics are updated in place.
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
            "dsbn swaps batch norms within a step, and checkpointing would compute activations anew"
            " with the wrong ones; set train.checkpointing to false, or split the batch with"
            " train.accumulate"
        )
    teacher = stages.train("teacher", 0.5, suponly)
    labels = stages.label("labels", teacher)
    return stages.train("student", 0.5, DSBN, labels=labels, last=True)
