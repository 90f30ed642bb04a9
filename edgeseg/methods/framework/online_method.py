"""The base of methods with online pseudo-labels: targets, strong views, losses, plug-in hooks.

Who makes the targets, which pixels count, how frames are mixed, which plug-ins help: a method is a
choice of these parts. `pseudo_label_method.py` is the plain host; methods with more networks or
streams have a `step` of their own made of the same pieces.
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
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.mix_regions import MixRegion
from edgeseg.methods.framework.pixel_selection import PixelSelector, PixelWeights
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.schedule import Schedule
from edgeseg.methods.framework.views import PseudoTarget, mix_frames, pseudo_target, recolor
from edgeseg.models import Network, Output

PixelLoss = Callable[[Tensor, PseudoTarget], Tensor]  # (B, C, H, W) logits and target -> (B, H, W)
TargetSource = Literal["ema", "self"]  # the EMA teacher or the student itself


class OnlineMethod(Method, ABC):
    """The parts and their use; a concrete method writes `step` with them."""

    def __init__(
        self,
        context: MethodContext,
        plugins: Sequence[Plugin],
        *,
        select: PixelSelector,
        mix_region: MixRegion | None = None,
        pixel_loss: PixelLoss | None = None,
        weight_scale: float = 1.0,
        target_source: TargetSource = "ema",
    ) -> None:
        """Take the parts.

        Args:
            context: student, labelled pixels and configuration.
            plugins: the method's own and the user's.
            select: weights of the pseudo-labelled pixels.
            mix_region: pixels that are mixed in from the next frame.
            pixel_loss: loss of a pixel; cross-entropy against the pseudo-label unless given.
            weight_scale: factor of the unlabelled loss beside the configured weight.
            target_source: the network that makes the targets, unless the configuration says so.
        """
        config = context.config
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        self.plugins = nn.ModuleList(plugins)
        weight = config.unlabelled_weight * weight_scale
        self.schedule = Schedule(weight, config.warmup, config.ramp)
        self._config, self._own_target_source = config, target_source
        self._select, self._mix_region, self._pixel_loss = select, mix_region, pixel_loss

    @property
    def target_source(self) -> TargetSource:
        """The network that makes the targets, in methods that ask for it."""
        teacher = self._config.teacher
        return self._own_target_source if teacher == "auto" else teacher

    @property
    def propagation(self) -> bool:
        return self._config.propagation

    def typed_plugins(self) -> list[Plugin]:
        """The plug-ins as what they are, not as plain modules."""
        return [plugin for plugin in self.plugins if isinstance(plugin, Plugin)]

    def prepare_labelled(self, labelled: Batch) -> Batch:
        """Let the plug-ins change the labelled frames."""
        for plugin in self.typed_plugins():
            labelled = plugin.prepare_labelled(labelled)
        return labelled

    def labelled_loss(self, logits: Tensor, labelled: Batch) -> Tensor:
        """The supervised loss () of (B, C, h, w) logits, which the plug-ins observe."""
        for plugin in self.typed_plugins():
            plugin.observe_labelled(upsample(logits.detach(), labelled.size), labelled.masks)
        return self.supervised_loss(logits, labelled.masks)

    def warmup_step(self, labelled: Batch) -> StepResult:
        """A step of the warm-up, which has the supervised loss only."""
        labelled = self.prepare_labelled(labelled)
        self.teacher_forward(labelled.images)
        logits = self.student(self.normalize(labelled.images)).logits
        loss = self.labelled_loss(logits, labelled)
        return StepResult(loss, {"supervised": loss.detach()})

    @torch.no_grad()
    def predict_targets(self, unlabelled: Batch) -> PseudoTarget:
        """Targets of clean frames from the target source, changed by the plug-ins."""
        output = self.teacher_forward(unlabelled.images)
        if self.target_source == "self":
            output = self.predict_in_eval_mode(self.student, unlabelled.images)
        return self.make_targets(unlabelled, output)

    def make_targets(self, unlabelled: Batch, output: Output) -> PseudoTarget:
        """Targets from `output` on the clean frames, changed by the plug-ins."""
        target = pseudo_target(unlabelled, output.logits)
        for plugin in self.typed_plugins():
            target = plugin.adjust_targets(self, target, output)
        return target

    @torch.no_grad()
    def predict_in_eval_mode(self, network: Network, images: Tensor) -> Output:
        """Output of a network in training on images 0..1, with its running statistics."""
        training = network.training
        network.eval()
        output: Output = network(self.normalize(images))
        network.train(training)
        return output

    @torch.no_grad()
    def strong_view(self, target: PseudoTarget, labelled: Batch) -> PseudoTarget:
        """A strong view of the frames: what plug-ins inject, strong colors, mixing."""
        for plugin in self.typed_plugins():
            target = plugin.inject(target, labelled)
        if self._config.strong:
            target = recolor(target)
        for plugin in self.typed_plugins():
            mixed = plugin.mix(target)
            if mixed is not None:
                return mixed
        return mix_frames(target, self._mix_region(target)) if self._mix_region else target

    def unlabelled_loss(
        self,
        logits: Tensor,
        target: PseudoTarget,
        progress: float,
        select: PixelSelector | None = None,
    ) -> tuple[Tensor, PixelWeights]:
        """The loss () of the student's (B, C, h, w) logits on a view, and the weights in it."""
        selected = (select or self._select)(target, progress)
        for plugin in self.typed_plugins():
            selected = plugin.reweight(target, selected)
        logits = upsample(logits, target.size)
        loss = self.pixel_loss(logits, target, selected.weight) * selected.weight
        return distributed_mean(loss.sum(), selected.divisor), selected

    def pixel_loss(self, logits: Tensor, target: PseudoTarget, weight: Tensor) -> Tensor:
        """The loss (B, H, W) of (B, C, H, W) logits, not yet multiplied by `weight` (B, H, W).

        It is a plug-in's, else the method's, else the cross-entropy.
        """
        for plugin in self.typed_plugins():
            loss = plugin.pixel_loss(logits, target, weight)
            if loss is not None:
                return loss
        if self._pixel_loss is not None:
            return self._pixel_loss(logits, target)
        return F.cross_entropy(logits.float(), target.label, ignore_index=IGNORE, reduction="none")

    def auxiliary_losses(self, step_context: StepContext) -> Tensor:
        """Sum () of the plug-ins' own losses."""
        losses = [plugin.auxiliary_loss(self, step_context) for plugin in self.typed_plugins()]
        zero = torch.zeros((), device=step_context.images.device)
        return sum((loss for loss in losses if loss is not None), zero)

    def after_step(self, step: int) -> None:
        super().after_step(step)
        for plugin in self.typed_plugins():
            plugin.after_step(self, step)
