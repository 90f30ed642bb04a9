"""Supervised only: the floor that every other method has to beat at the same budget."""

from __future__ import annotations

from edgeseg.data.augment import strong_augment
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult


class SupOnly(Method):
    """Cross-entropy on the labelled frames."""

    needs_unlabelled = False

    def __init__(self, context: MethodContext, *, strong_colors: bool) -> None:
        config = context.config
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        self._strong_colors = strong_colors

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        images = strong_augment(labelled.images) if self._strong_colors else labelled.images
        self.teacher_forward(labelled.images)
        logits = self.student(self.normalize(images)).logits
        loss = self.supervised_loss(logits, labelled.masks)
        return StepResult(loss, {"supervised": loss.detach()})


def suponly(context: MethodContext) -> Method:
    """Supervision with random scale, crop and flip only."""
    return SupOnly(context, strong_colors=False)


def suponly_strong(context: MethodContext) -> Method:
    """Supervision with strong colors too; in ST++'s table that costs a point on average."""
    return SupOnly(context, strong_colors=True)
