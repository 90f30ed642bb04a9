"""AdvSSL (Hung et al., BMVC 2018, arXiv 1802.07934): a discriminator tells true masks from
predictions pixel by pixel.

The student learns to be taken for the truth on labelled and unlabelled frames; and where the
discriminator takes a prediction on footage for true, its argmax is a pseudo-label. The
discriminator itself knows labelled frames alone.

Simplified: it has three strided layers at the logits' resolution instead of five at the image's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.adversarial import adversarial_loss, discriminator_loss, trusted
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.methods.baselines.judge import frozen, shrink, strided, truth
from edgeseg.methods.framework.method import Batch, Method, MethodContext, Schedule, StepResult

LABELLED, UNLABELLED = 0.01, 0.001  # weights of the adversarial loss
SELF_TRAINING = 0.1  # weight of the loss on pseudo-labels
TRUST = 0.2  # least probability of being true
WIDTHS = (64, 128, 256)


class AdvSSL(Method):
    """One pass of the student; three of the discriminator, which is small."""

    def __init__(self, kit: MethodContext) -> None:
        config = kit.config
        super().__init__(kit.student, kit.pixels, config.ema, config.class_balance)
        self.schedule = Schedule(config.unlabelled_weight, config.warmup, config.ramp)
        self.judge = strided(len(kit.pixels), WIDTHS).append(nn.Conv2d(WIDTHS[-1], 1, 1))

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        number = len(labelled.images)
        images = torch.cat([labelled.images, unlabelled.images]) if weight else labelled.images
        self.teacher_forward(images)
        logits = self.student(self.normalize(images)).logits
        supervised = self.supervised(logits[:number], labelled.masks)
        probability = logits.float().softmax(1)

        masks = shrink(labelled.masks, logits)
        known = masks != IGNORE
        guess = probability[:number].detach()
        real, fake = (
            self._score(self.judge(truth(masks, guess)), known),
            self._score(self.judge(guess), known),
        )
        judging = discriminator_loss(real, fake, known, known)
        score = self._score(frozen(self.judge, probability), logits[:, 0])
        fooling = LABELLED * adversarial_loss(score[:number], known)
        logs = {"supervised": supervised.detach(), "judge": judging.detach()}
        if not weight:
            return StepResult(supervised + judging + fooling, logs)

        valid = shrink(unlabelled.valid, logits)
        kept = valid & trusted(score[number:], TRUST)
        label = logits[number:].detach().argmax(1).masked_fill(~kept, IGNORE)
        pseudo = cross_entropy(logits[number:], label)
        footage = SELF_TRAINING * pseudo + UNLABELLED * adversarial_loss(score[number:], valid)
        logs |= {"unlabelled": pseudo.detach(), "kept": kept.sum() / valid.sum().clamp(min=1)}
        return StepResult(supervised + judging + fooling + weight * footage, logs)

    @staticmethod
    def _score(found: Tensor, like: Tensor) -> Tensor:
        """(B, h, w) logits of being true, at the resolution of `like`, from what the judge says."""
        return F.interpolate(
            found.float(), size=like.shape[-2:], mode="bilinear", align_corners=False
        )[:, 0]


def advssl(kit: MethodContext) -> Method:
    """As described."""
    return AdvSSL(kit)
