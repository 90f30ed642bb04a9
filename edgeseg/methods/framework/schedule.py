"""The weight of the unlabelled loss over a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Weight of the unlabelled loss over the run.

    Attributes:
        weight: the weight that is reached in the end.
        warmup: share of the steps that have supervision only.
        ramp: share of the steps after it over which the weight rises from 0.
    """

    weight: float
    warmup: float
    ramp: float

    def at(self, progress: float) -> float:
        """The weight at `progress` 0..1."""
        if progress < self.warmup:
            return 0.0
        return self.weight * (
            1.0 if self.ramp <= 0 else min(1.0, (progress - self.warmup) / self.ramp)
        )
