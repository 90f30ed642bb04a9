"""AdvSSL (Hung et al., BMVC 2018, arXiv 1802.07934): a discriminator of class maps, pixel by pixel.

It tells true masks from predictions. The student learns to be taken for the truth on labelled and
unlabelled frames; and where the discriminator takes a prediction on footage for true, its argmax is
a pseudo-label. The discriminator itself knows labelled frames alone.

Simplified: it has three strided layers at the logits' resolution instead of five at the image's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.baselines.adversarial import adversarial_loss, discriminator_loss, judged_real
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.losses.shared.resize import resize_nearest, upsample
from edgeseg.methods.baselines.discriminator import (
    call_frozen,
    strided_convolutions,
    true_class_map,
)
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.schedule import Schedule

# Weights of the adversarial loss on labelled and unlabelled frames, and of the pseudo-labels.
LABELLED_WEIGHT, UNLABELLED_WEIGHT = 0.01, 0.001
PSEUDO_LABEL_WEIGHT = 0.1
REAL_THRESHOLD = 0.2  # probability of being real above which a prediction is a pseudo-label
WIDTHS = (64, 128, 256)


class AdvSSL(Method):
    """One pass of the student; three of the discriminator, which is small.

    Attributes:
        judge: the discriminator.
    """

    def __init__(self, context: MethodContext) -> None:
        config = context.config
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        self.schedule = Schedule(config.unlabelled_weight, config.warmup, config.ramp)
        self.judge = strided_convolutions(len(context.pixels), WIDTHS).append(
            nn.Conv2d(WIDTHS[-1], 1, 1)
        )

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        number = len(labelled.images)
        images = torch.cat([labelled.images, unlabelled.images]) if weight else labelled.images
        self.teacher_forward(images)
        logits = self.student(self.normalize(images)).logits
        size = (logits.shape[2], logits.shape[3])
        supervised = self.supervised_loss(logits[:number], labelled.masks)
        probability = logits.float().softmax(1)

        # The discriminator learns: true maps of labelled frames against the student's.
        masks = resize_nearest(labelled.masks, size)
        known = masks != IGNORE
        prediction = probability[:number].detach()
        real = self._score(self.judge(true_class_map(masks, prediction)), size)
        fake = self._score(self.judge(prediction), size)
        discriminating = discriminator_loss(real, fake, known, known)

        # The student learns from it.
        score = self._score(call_frozen(self.judge, probability), size)
        adversarial = LABELLED_WEIGHT * adversarial_loss(score[:number], known)
        logs = {"supervised": supervised.detach(), "judge": discriminating.detach()}
        if not weight:
            return StepResult(supervised + discriminating + adversarial, logs)

        valid = resize_nearest(unlabelled.valid, size)
        kept = valid & judged_real(score[number:], REAL_THRESHOLD)
        label = logits[number:].detach().argmax(1).masked_fill(~kept, IGNORE)
        pseudo_loss = cross_entropy(logits[number:], label)
        unlabelled_loss = PSEUDO_LABEL_WEIGHT * pseudo_loss + UNLABELLED_WEIGHT * adversarial_loss(
            score[number:], valid
        )
        logs |= {"unlabelled": pseudo_loss.detach(), "kept": kept.sum() / valid.sum().clamp(min=1)}
        loss = supervised + discriminating + adversarial + weight * unlabelled_loss
        return StepResult(loss, logs)

    @staticmethod
    def _score(output: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, *size) logits of being real from the discriminator's output (B, 1, h, w)."""
        return upsample(output, size)[:, 0]


def advssl(context: MethodContext) -> Method:
    """AdvSSL with a small discriminator at the logits' resolution."""
    return AdvSSL(context)
