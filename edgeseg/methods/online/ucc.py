"""UCC (Fan et al., CVPR 2022): one encoder, two heads that label the strong view for each other. No
code is public.

Cross-set copy-paste puts rare classes of labelled frames, with their truth, into unlabelled ones; a
pixel counts by exp(-KL) of the two heads' distributions, little where they disagree (our reading of
the paper's uncertainty weight).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from edgeseg.losses.ael_adaptive import ConfidenceBank, class_chances
from edgeseg.losses.consistency import disagreement_weight
from edgeseg.losses.cross_entropy import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import PixelWeights, everything
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.views import PseudoTarget, by_peer, insert, pseudo_target
from edgeseg.methods.plugins import plugins
from edgeseg.methods.plugins.ael import draw_present, uncommon


class CrossSetPaste(Plugin):
    """A rare class of a labelled frame, drawn with softmax(sqrt(1 - g)), pasted into an unlabelled
    one (DCSCP).
    """

    rare: Tensor

    def __init__(self, kit: MethodContext) -> None:
        super().__init__()
        self.settings = kit.config.ael
        self.bank = ConfidenceBank(len(kit.pixels), self.settings.keep)
        self.register_buffer("rare", uncommon(kit.pixels, self.settings.common), persistent=False)

    @torch.no_grad()
    def observe(self, logits: Tensor, masks: Tensor) -> None:
        self.bank.update(logits.float().softmax(1), masks)

    def inject(self, target: PseudoTarget, labelled: Batch) -> PseudoTarget:
        number = len(target.images)
        donor = torch.arange(number, device=target.images.device) % len(labelled.images)
        masks = labelled.masks[donor]
        chosen = draw_present(masks, class_chances(self.bank.value, 0.5) * self.rare)
        wanted = torch.rand(number, device=masks.device) < self.settings.copy_paste
        taken = (masks == chosen[:, None, None]) & (wanted & (chosen >= 0))[:, None, None]
        return insert(target, labelled, donor, taken)


class UCC(OnlineMethod):
    """B clean frames without gradient, 2B with, decoded by two heads."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__(kit, [*plugins(kit), CrossSetPaste(kit)], select=everything)
        self.second = kit.another()
        self.second.encoder = nn.Identity()  # only its head is used

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        labelled = self.prepare(labelled)
        number = len(labelled.images)
        if weight == 0:
            self.teacher_forward(labelled.images)
            output = self.student(self.normalize(labelled.images))
            supervised = self._supervise(
                output.logits, self.second.decode(output.features), labelled
            )
            return StepResult(supervised, {"supervised": supervised.detach()})

        target = self.view(self._clean(unlabelled), labelled)
        images = self.normalize(torch.cat([labelled.images, target.images]))
        output = self.student(images)
        other = self.second.decode(output.features)
        supervised = self._supervise(output.logits[:number], other[:number], labelled)
        size = (target.valid.shape[1], target.valid.shape[2])
        agreement = disagreement_weight(
            upsample(output.logits[number:].detach(), size), upsample(other[number:].detach(), size)
        )

        def select(view: PseudoTarget, progress: float) -> PixelWeights:
            weight, divisor = everything(view, progress)
            return PixelWeights(
                weight * agreement, divisor
            )  # where the heads disagree everywhere, all counts little

        one, selected = self.unlabelled_loss(
            output.logits[number:], by_peer(target), progress, select
        )
        two, _ = self.unlabelled_loss(other[number:], target, progress, select)
        extra = self.extras(
            StepContext(images, output, labelled, target, unlabelled.images, progress)
        )
        loss = supervised + weight * (one + two + extra)
        return self.report(loss, supervised, one + two, extra, target, selected)

    def _supervise(self, logits: Tensor, other: Tensor, labelled: Batch) -> Tensor:
        return self.supervise(logits, labelled) + self.supervised(other, labelled.masks)

    @torch.no_grad()
    def _clean(self, unlabelled: Batch) -> PseudoTarget:
        self.teacher_forward(unlabelled.images)
        training = self.training
        self.second.eval()
        output = self.student_predict(self.student, unlabelled.images)
        peer = pseudo_target(unlabelled, self.second.decode(output.features)).probability
        self.second.train(training)
        target = self.refine(unlabelled, output)
        return replace(target, peers=(peer, *target.peers))


def ucc(kit: MethodContext) -> Method:
    """As described; unofficial."""
    return UCC(kit)
