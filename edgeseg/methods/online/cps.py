"""CPS (Chen et al., CVPR 2021, arXiv 2106.01226): two networks with different heads label frames
for each other.

No threshold. Without CutMix the labelled frames are labelled by the other network as well; with it
both networks label clean frames and learn from the mixed ones, by one box of half the area where
the official code has three. The first network's average is what is evaluated and shipped.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import confident
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.framework.views import PseudoTarget, by_peer, cutmix, pseudo_target
from edgeseg.methods.plugins import plugins


class CPS(OnlineMethod):
    """Both networks see every frame once with gradient, and clean frames once without."""

    def __init__(self, kit: MethodContext, own: tuple[str, ...] = (), *, mixed: bool) -> None:
        """With `mixed`, CutMix; `own` names the plug-ins that belong to the method."""
        select = confident(kit.confidence())
        super().__init__(
            kit, plugins(kit, own), select=select, region=cutmix(1.0) if mixed else None
        )
        self.second = kit.another()
        self._mixed = mixed

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        labelled = self.prepare(labelled)
        number = len(labelled.images)
        if weight == 0:
            self.teacher_forward(labelled.images)
            images = self.normalize(labelled.images)
            supervised = self._supervise(
                self.student(images).logits, self.second(images).logits, labelled
            )
            return StepResult(supervised, {"supervised": supervised.detach()})

        target = self._clean(unlabelled if self._mixed else _together(labelled, unlabelled))
        if self._mixed:
            target = self.view(target, labelled)
        images = self.normalize(
            torch.cat([labelled.images, target.images]) if self._mixed else target.images
        )
        output, other = self.student(images), self.second(images)
        supervised = self._supervise(output.logits[:number], other.logits[:number], labelled)

        judged = slice(number, None) if self._mixed else slice(None)
        one, selected = self.unlabelled_loss(output.logits[judged], by_peer(target), progress)
        two, _ = self.unlabelled_loss(other.logits[judged], target, progress)
        footage = target if self._mixed else _part(target, slice(number, None))
        extra = self.extras(
            StepContext(images, output, labelled, footage, unlabelled.images, progress)
        )
        loss = supervised + weight * (one + two + extra)
        return self.report(loss, supervised, one + two, extra, target, selected)

    def _supervise(self, logits: Tensor, other: Tensor, labelled: Batch) -> Tensor:
        return self.supervise(logits, labelled) + self.supervised(other, labelled.masks)

    def _clean(self, frames: Batch) -> PseudoTarget:
        """What the first network believes about clean frames, with the second's belief as its peer."""
        self.teacher_forward(
            frames.images
        )  # for the statistics of the average, whose word nobody takes
        peer = pseudo_target(
            frames, self.student_predict(self.second, frames.images).logits
        ).probability
        target = self.refine(frames, self.student_predict(self.student, frames.images))
        return replace(target, peers=(peer, *target.peers))


def _together(one: Batch, other: Batch) -> Batch:
    return Batch(*(torch.cat(pair) for pair in zip(one, other)))


def _part(target: PseudoTarget, rows: slice) -> PseudoTarget:
    peers = tuple(peer[rows] for peer in target.peers)
    return PseudoTarget(target.images[rows], target.probability[rows], target.valid[rows], peers)


def cps(kit: MethodContext) -> Method:
    """Plain."""
    return CPS(kit, mixed=False)


def cps_cutmix(kit: MethodContext) -> Method:
    """With CutMix, which in the paper matters more than the loss."""
    return CPS(kit, mixed=True)


def fpl_cps(kit: MethodContext) -> Method:
    """With fuzzy positives (Qiao et al., CVPR 2023) in place of the cross pseudo-labels."""
    return CPS(kit, ("fpl",), mixed=False)


def fpl_cps_cutmix(kit: MethodContext) -> Method:
    """Both."""
    return CPS(kit, ("fpl",), mixed=True)
