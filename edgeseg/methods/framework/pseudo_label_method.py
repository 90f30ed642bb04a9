"""The plain host of pseudo-labels: one network, one target, one strong view.

Most methods are nothing but a choice of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from edgeseg.methods.framework.method import Batch, MethodContext, StepResult
from edgeseg.methods.framework.mix_regions import MixRegion
from edgeseg.methods.framework.online_method import OnlineMethod, PixelLoss, TargetSource
from edgeseg.methods.framework.pixel_selection import PixelSelector, step_result
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.views import PseudoTarget


class PseudoLabel(OnlineMethod):
    """Targets of clean frames, one strong view of them, one pass of the student over all frames."""

    def __init__(
        self,
        context: MethodContext,
        plugins: Sequence[Plugin],
        *,
        select: PixelSelector,
        mix_region: MixRegion | None = None,
        pixel_loss: PixelLoss | None = None,
        target_source: TargetSource = "ema",
        make_view: Callable[[PseudoTarget], PseudoTarget] | None = None,
    ) -> None:
        """Take the parts as `OnlineMethod`; `make_view` replaces colors and mixing."""
        super().__init__(
            context,
            plugins,
            select=select,
            mix_region=mix_region,
            pixel_loss=pixel_loss,
            target_source=target_source,
        )
        self._make_view = make_view

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.warmup_step(labelled)
        labelled = self.prepare_labelled(labelled)
        clean = self.predict_targets(unlabelled)
        target = self._make_view(clean) if self._make_view else self.strong_view(clean, labelled)
        images = self.normalize(torch.cat([labelled.images, target.images]))
        output = self.student(images)
        number = len(labelled.images)
        supervised = self.labelled_loss(output.logits[:number], labelled)
        consistency, selected = self.unlabelled_loss(output.logits[number:], target, progress)
        auxiliary = self.auxiliary_losses(
            StepContext(images, output, labelled, target, unlabelled.images, progress)
        )
        loss = supervised + weight * (consistency + auxiliary)
        return step_result(loss, supervised, consistency, auxiliary, target, selected)
