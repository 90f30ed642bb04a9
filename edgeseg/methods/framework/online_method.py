"""What methods with online pseudo-labels share: how a view is made, how a loss on it is formed, and
where plug-ins act.

Who makes the target, which pixels count, how frames are mixed, which plug-ins help: a method is a
choice of these parts (methods.md 1.3). `pseudo_label.py` is the plain host; methods with more
networks or streams have a `step` of their own made of the same pieces.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.cross_entropy import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, Schedule, StepResult
from edgeseg.methods.framework.pixel_selection import (
    PixelSelector,
    PixelWeights,
    histogram,
    kept_share,
)
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.views import PseudoTarget, Region, paste, pseudo_target, recolor
from edgeseg.models import Network, Output

PixelLoss = Callable[[Tensor, PseudoTarget], Tensor]  # (B, C, H, W) logits and target -> (B, H, W)
Source = Literal["ema", "self"]


class OnlineMethod(Method, ABC):
    """Holds the parts; a concrete method writes `step` with them."""

    def __init__(
        self,
        kit: MethodContext,
        plugins: Sequence[Plugin],
        *,
        select: PixelSelector,
        region: Region | None = None,
        pixel: PixelLoss | None = None,
        scale: float = 1.0,
        source: Source = "ema",
    ) -> None:
        """Take the parts.

        Args:
            select: which pixels count.
            region: what is mixed in from the next frame.
            pixel: loss of a pixel; cross-entropy against the pseudo-label unless given.
            scale: of the unlabelled loss, beside the configured weight.
            source: who labels, unless the configuration says: the EMA teacher or the student
                itself.
        """
        config = kit.config
        super().__init__(kit.student, kit.pixels, config.ema, config.class_balance)
        self.plugins = nn.ModuleList(plugins)
        self.schedule = Schedule(config.unlabelled_weight * scale, config.warmup, config.ramp)
        self.source = source if config.teacher == "auto" else config.teacher
        self._select, self._region, self._pixel, self._color = select, region, pixel, config.strong

    def helpers(self) -> list[Plugin]:
        """The plug-ins, typed."""
        return [plugin for plugin in self.plugins if isinstance(plugin, Plugin)]

    def prepare(self, labelled: Batch) -> Batch:
        """Let the plug-ins change the labelled frames."""
        for plugin in self.helpers():
            labelled = plugin.prepare(labelled)
        return labelled

    def supervise(self, logits: Tensor, labelled: Batch) -> Tensor:
        """The supervised loss of (B, C, h, w) logits, which the plug-ins may look at."""
        for plugin in self.helpers():
            plugin.observe(upsample(logits.detach(), _size(labelled)), labelled.masks)
        return self.supervised(logits, labelled.masks)

    def without_footage(self, labelled: Batch) -> StepResult:
        """A step of the warm-up."""
        labelled = self.prepare(labelled)
        self.teacher_forward(labelled.images)
        loss = self.supervise(self.student(self.normalize(labelled.images)).logits, labelled)
        return StepResult(loss, {"supervised": loss.detach()})

    @torch.no_grad()
    def predict_targets(self, unlabelled: Batch) -> PseudoTarget:
        """What the source says about clean frames, after the plug-ins."""
        output = self.teacher_forward(unlabelled.images)
        if self.source == "self":
            output = self.student_predict(self.student, unlabelled.images)
        return self.refine(unlabelled, output)

    def refine(self, unlabelled: Batch, output: Output) -> PseudoTarget:
        """The belief that follows from `output` on clean frames, after the plug-ins."""
        target = pseudo_target(unlabelled, output.logits)
        for plugin in self.helpers():
            target = plugin.adjust_targets(self, target, output)
        return target

    @torch.no_grad()
    def student_predict(self, network: Network, images: Tensor) -> Output:
        """What a network that is being trained says about images 0..1, with its running statistics."""
        training = network.training
        network.eval()
        output: Output = network(self.normalize(images))
        network.train(training)
        return output

    @torch.no_grad()
    def view(self, target: PseudoTarget, labelled: Batch) -> PseudoTarget:
        """A strong view: injected, recolored, mixed."""
        for plugin in self.helpers():
            target = plugin.inject(target, labelled)
        if self._color:
            target = recolor(target)
        for plugin in self.helpers():
            region = plugin.mix_region(target)
            if region is not None:
                return paste(target, region)
        return paste(target, self._region(target)) if self._region else target

    def unlabelled_loss(
        self,
        logits: Tensor,
        target: PseudoTarget,
        progress: float,
        select: PixelSelector | None = None,
    ) -> tuple[Tensor, PixelWeights]:
        """The loss () of the student's (B, C, h, w) logits on a view, and which pixels made it."""
        selected = (select or self._select)(target, progress)
        for plugin in self.helpers():
            selected = plugin.reweight(target, selected)
        found = upsample(logits, (target.valid.shape[1], target.valid.shape[2]))
        loss = self.pixel_loss(found, target, selected.weight) * selected.weight
        return distributed_mean(loss.sum(), selected.divisor), selected

    def pixel_loss(self, logits: Tensor, target: PseudoTarget, weight: Tensor) -> Tensor:
        """(B, H, W) from (B, C, H, W): a plug-in's, else the method's, else cross-entropy; `weight`
        follows.
        """
        for plugin in self.helpers():
            loss = plugin.pixel_loss(logits, target, weight)
            if loss is not None:
                return loss
        if self._pixel is not None:
            return self._pixel(logits, target)
        return F.cross_entropy(logits.float(), target.label, ignore_index=IGNORE, reduction="none")

    def extras(self, seen: StepContext) -> Tensor:
        """Sum () of the plug-ins' own losses."""
        losses = [plugin.auxiliary_loss(self, seen) for plugin in self.helpers()]
        return sum(
            (loss for loss in losses if loss is not None),
            torch.zeros((), device=seen.images.device),
        )

    def after_step(self, step: int) -> None:
        super().after_step(step)
        for plugin in self.helpers():
            plugin.after_step(self, step)

    @staticmethod
    def report(
        loss: Tensor,
        supervised: Tensor,
        unlabelled: Tensor,
        extra: Tensor,
        target: PseudoTarget,
        selected: PixelWeights,
    ) -> StepResult:
        """The loss with the figures that every method logs."""
        logs = {"supervised": supervised, "unlabelled": unlabelled, "extra": extra}
        logs |= {"kept": kept_share(selected, target), "pseudo": histogram(target, selected)}
        return StepResult(loss, {name: value.detach() for name, value in logs.items()})


def _size(batch: Batch) -> tuple[int, int]:
    return batch.masks.shape[1], batch.masks.shape[2]
