"""Supervised only: the floor that every other method has to beat at the same budget."""

from __future__ import annotations

from edgeseg.data.augment import strong_augment
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult


class SupOnly(Method):
    """Cross-entropy on the labelled frames."""

    needs_unlabelled = False

    def __init__(self, kit: MethodContext, *, strong: bool) -> None:
        super().__init__(kit.student, kit.pixels, kit.config.ema, kit.config.class_balance)
        self._strong = strong

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        images = strong_augment(labelled.images) if self._strong else labelled.images
        self.teacher_forward(labelled.images)
        loss = self.supervised(self.student(self.normalize(images)).logits, labelled.masks)
        return StepResult(loss, {"supervised": loss.detach()})


def suponly(kit: MethodContext) -> Method:
    """Scale, crop and flip only."""
    return SupOnly(kit, strong=False)


def suponly_strong(kit: MethodContext) -> Method:
    """Strong colors on labelled frames too; in ST++'s table that costs a point on average
    (methods.md 2.0).
    """
    return SupOnly(kit, strong=True)
