"""UCC (Fan et al., CVPR 2022): two heads on one encoder label the strong view for each other.

No code is public. Dynamic cross-set copy-paste (DCSCP) puts rare classes of labelled frames, with
their ground truth, into unlabelled ones; a pixel counts by exp(-KL) of the two heads'
distributions, little where they disagree (our reading of the paper's uncertainty weight).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from edgeseg.losses.ael_adaptive import ConfidenceBank, class_sampling_probabilities
from edgeseg.losses.consistency import agreement_weight
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import PixelWeights, all_pixels, step_result
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.views import (
    PseudoTarget,
    insert_labelled,
    peer_target,
    pseudo_target,
)
from edgeseg.methods.plugins import make_plugins
from edgeseg.methods.plugins.ael import copy_paste_region, uncommon_classes


class CrossSetPaste(Plugin):
    """DCSCP: a rare class of a labelled frame, by AEL's draw, pasted into an unlabelled frame."""

    rare: Tensor

    def __init__(self, context: MethodContext) -> None:
        super().__init__()
        self.settings = context.config.ael
        self.bank = ConfidenceBank(len(context.pixels), self.settings.keep)
        uncommon = uncommon_classes(context.pixels, self.settings.common)
        self.register_buffer("rare", uncommon, persistent=False)

    @torch.no_grad()
    def observe_labelled(self, logits: Tensor, masks: Tensor) -> None:
        """Update the confidence bank."""
        self.bank.update(logits.float().softmax(1), masks)

    def inject(self, target: PseudoTarget, labelled: Batch) -> PseudoTarget:
        """Paste a rare class of a labelled frame into a share of the frames."""
        number = len(target.images)
        donor = torch.arange(number, device=target.images.device) % len(labelled.images)
        probabilities = class_sampling_probabilities(self.bank.value, 0.5) * self.rare
        region = copy_paste_region(labelled.masks[donor], probabilities, self.settings.copy_paste)
        return insert_labelled(target, labelled, donor, region)


class UCC(OnlineMethod):
    """B clean frames without gradient, 2B with, decoded by two heads."""

    def __init__(self, context: MethodContext) -> None:
        plugins = [*make_plugins(context), CrossSetPaste(context)]
        super().__init__(context, plugins, select=all_pixels)
        self.second = context.new_network()
        self.second.encoder = nn.Identity()  # only its head is used

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        labelled = self.prepare_labelled(labelled)
        number = len(labelled.images)
        if weight == 0:
            self.teacher_forward(labelled.images)
            output = self.student(self.normalize(labelled.images))
            logits_2 = self.second.decode(output.features)
            supervised = self._supervised(output.logits, logits_2, labelled)
            return StepResult(supervised, {"supervised": supervised.detach()})

        target = self.strong_view(self._clean_targets(unlabelled), labelled)
        images = self.normalize(torch.cat([labelled.images, target.images]))
        output = self.student(images)
        logits_2 = self.second.decode(output.features)
        supervised = self._supervised(output.logits[:number], logits_2[:number], labelled)
        agreement = agreement_weight(
            upsample(output.logits[number:].detach(), target.size),
            upsample(logits_2[number:].detach(), target.size),
        )

        def select(view: PseudoTarget, progress: float) -> PixelWeights:
            weight, divisor = all_pixels(view, progress)
            # The divisor stays: where the heads disagree everywhere, all counts little.
            return PixelWeights(weight * agreement, divisor)

        loss_1, selected = self.unlabelled_loss(
            output.logits[number:], peer_target(target), progress, select
        )
        loss_2, _ = self.unlabelled_loss(logits_2[number:], target, progress, select)
        auxiliary = self.auxiliary_losses(
            StepContext(images, output, labelled, target, unlabelled.images, progress)
        )
        loss = supervised + weight * (loss_1 + loss_2 + auxiliary)
        return step_result(loss, supervised, loss_1 + loss_2, auxiliary, target, selected)

    def _supervised(self, logits_1: Tensor, logits_2: Tensor, labelled: Batch) -> Tensor:
        loss_1 = self.labelled_loss(logits_1, labelled)
        return loss_1 + self.supervised_loss(logits_2, labelled.masks)

    @torch.no_grad()
    def _clean_targets(self, unlabelled: Batch) -> PseudoTarget:
        """Targets of clean frames from the first head, with those of the second as its peer."""
        self.teacher_forward(unlabelled.images)
        training = self.training
        self.second.eval()
        output = self.predict_in_eval_mode(self.student, unlabelled.images)
        peer = pseudo_target(unlabelled, self.second.decode(output.features)).probability
        self.second.train(training)
        target = self.make_targets(unlabelled, output)
        return replace(target, peers=(peer, *target.peers))


def ucc(context: MethodContext) -> Method:
    """UCC as its paper describes it; there is no official code to compare with."""
    return UCC(context)
