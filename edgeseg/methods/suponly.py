"""Supervised only: the floor that every other method has to beat at the same budget."""

from __future__ import annotations

from edgeseg.methods.method import Batch, Method, StepResult


class SupOnly(Method):
    """Cross-entropy on the labelled frames."""

    needs_unlabelled = False

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        return self.supervised_step(labelled)
