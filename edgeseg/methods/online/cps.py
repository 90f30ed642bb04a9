"""CPS (Chen et al., CVPR 2021, arXiv 2106.01226): cross pseudo supervision of two networks.

The two have different heads and label frames for each other, without a threshold. Without CutMix
the labelled frames are labelled by the other network as well; with it both networks label clean
frames and learn from the mixed ones, by one box of half the area where the official code has three.
The first network's average is what is evaluated and shipped.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from edgeseg.imaging.array_types import IGNORE
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.mix_regions import cutmix
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import confident_pixels, step_result
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.framework.views import PseudoTarget, peer_target, pseudo_target
from edgeseg.methods.plugins import make_plugins


class CPS(OnlineMethod):
    """Both networks pass every frame once with gradient, and clean frames once without.

    The student is the first network; `second` is trained likewise, but has no average.
    """

    def __init__(self, context: MethodContext, *, mixed: bool) -> None:
        """With `mixed`, CutMix."""
        super().__init__(
            context,
            make_plugins(context),
            select=confident_pixels(context.confidence_threshold()),
            mix_region=cutmix(context.mixing_chance()) if mixed else None,
        )
        self.second = context.new_network()
        self._mixed = mixed

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        labelled = self.prepare_labelled(labelled)
        number = len(labelled.images)
        if weight == 0:
            return self._warmup_step(labelled)

        target = self._clean_targets(
            unlabelled if self._mixed else _concatenated(_unlabelled(labelled), unlabelled)
        )
        if self._mixed:
            target = self.strong_view(target, labelled)
        images = self.normalize(
            torch.cat([labelled.images, target.images]) if self._mixed else target.images
        )
        output_1, output_2 = self.student(images), self.second(images)
        supervised = self._supervised(output_1.logits[:number], output_2.logits[:number], labelled)

        # The frames of `target` among all: those that follow the labelled ones, or all of them.
        rows = slice(number, None) if self._mixed else slice(None)
        loss_1, selected = self.unlabelled_loss(
            output_1.logits[rows], peer_target(target), progress
        )
        loss_2, _ = self.unlabelled_loss(output_2.logits[rows], target, progress)
        footage = target if self._mixed else _rows(target, slice(number, None))
        auxiliary = self.auxiliary_losses(
            StepContext(images, output_1, labelled, footage, unlabelled.images, progress)
        )
        loss = supervised + weight * (loss_1 + loss_2 + auxiliary)
        return step_result(loss, supervised, loss_1 + loss_2, auxiliary, target, selected)

    def _warmup_step(self, labelled: Batch) -> StepResult:
        self.teacher_forward(labelled.images)
        images = self.normalize(labelled.images)
        logits_1, logits_2 = self.student(images).logits, self.second(images).logits
        supervised = self._supervised(logits_1, logits_2, labelled)
        return StepResult(supervised, {"supervised": supervised.detach()})

    def _supervised(self, logits_1: Tensor, logits_2: Tensor, labelled: Batch) -> Tensor:
        loss_1 = self.labelled_loss(logits_1, labelled)
        return loss_1 + self.supervised_loss(logits_2, labelled.masks)

    def _clean_targets(self, frames: Batch) -> PseudoTarget:
        """Targets of clean frames from the first network, with those of the second as its peer."""
        self.teacher_forward(frames.images)  # for its statistics alone: it labels nothing
        logits_2 = self.predict_in_eval_mode(self.second, frames.images).logits
        peer = pseudo_target(frames, logits_2).probability
        output_1 = self.predict_in_eval_mode(self.student, frames.images)
        target = self.make_targets(frames, output_1)
        return replace(target, peers=(peer, *target.peers))


def _unlabelled(frames: Batch) -> Batch:
    """Frames of which nothing is known."""
    return frames._replace(masks=torch.full_like(frames.masks, IGNORE))


def _concatenated(first: Batch, second: Batch) -> Batch:
    return Batch(*(torch.cat(pair) for pair in zip(first, second)))


def _rows(target: PseudoTarget, rows: slice) -> PseudoTarget:
    """Some frames of a target."""
    peers = tuple(peer[rows] for peer in target.peers)
    return PseudoTarget(target.images[rows], target.probability[rows], target.valid[rows], peers)


def cps(context: MethodContext) -> Method:
    """CPS without mixing."""
    return CPS(context, mixed=False)


def cps_cutmix(context: MethodContext) -> Method:
    """CPS with CutMix, which in the paper matters more than the loss."""
    return CPS(context, mixed=True)


def fpl_cps(context: MethodContext) -> Method:
    """CPS with fuzzy positives (FPL, Qiao et al., CVPR 2023) as the cross pseudo-labels."""
    return CPS(context, mixed=False)


def fpl_cps_cutmix(context: MethodContext) -> Method:
    """CPS with CutMix and fuzzy positives (FPL, Qiao et al., CVPR 2023)."""
    return CPS(context, mixed=True)
