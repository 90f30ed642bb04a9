"""The plain host, of which most methods are nothing but a choice of parts: one network, one target,
one strong view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from edgeseg.methods.framework.method import Batch, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod, PixelLoss, Source
from edgeseg.methods.framework.pixel_selection import PixelSelector
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.views import PseudoTarget, Region


class PseudoLabel(OnlineMethod):
    """One target of clean frames, one strong view of them, one pass of the student over everything."""

    def __init__(
        self,
        kit: MethodContext,
        plugins: Sequence[Plugin],
        *,
        select: PixelSelector,
        region: Region | None = None,
        pixel: PixelLoss | None = None,
        source: Source = "ema",
        view: Callable[[PseudoTarget], PseudoTarget] | None = None,
    ) -> None:
        """As `Online`; `view` replaces colors and mixing by something else."""
        super().__init__(kit, plugins, select=select, region=region, pixel=pixel, source=source)
        self._view = view

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.without_footage(labelled)
        labelled = self.prepare(labelled)
        clean = self.predict_targets(unlabelled)
        target = self._view(clean) if self._view else self.view(clean, labelled)
        images = self.normalize(torch.cat([labelled.images, target.images]))
        output = self.student(images)
        number = len(labelled.images)
        supervised = self.supervise(output.logits[:number], labelled)
        consistency, selected = self.unlabelled_loss(output.logits[number:], target, progress)
        extra = self.extras(
            StepContext(images, output, labelled, target, unlabelled.images, progress)
        )
        loss = supervised + weight * (consistency + extra)
        return self.report(loss, supervised, consistency, extra, target, selected)
