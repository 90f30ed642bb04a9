"""ECS (Mendel et al., ECCV 2020): a correction network sees frame and segmentation and says where
that is wrong.

Of each pixel it says "correct", or which class it should be: C + 1 answers, learned on labelled
frames. There the student in turn learns to be found correct; on footage it learns its own
prediction as corrected, a pixel counting by the probability of its corrected label.

Simplified: the correction network is five small convolutions at half the logits' resolution, no
DeepLab of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.cross_entropy import cross_entropy, upsample
from edgeseg.methods.baselines.judge import beside, frozen, shrink
from edgeseg.methods.framework.method import Batch, Method, MethodContext, Schedule, StepResult

APPROVAL = 0.1  # weight of the student's wish to be found correct
WIDTH = 64
DILATIONS = (1, 2, 4)


class ECS(Method):
    """One pass of the student; two of the correction network, which is small."""

    def __init__(self, kit: MethodContext) -> None:
        config = kit.config
        super().__init__(kit.student, kit.pixels, config.ema, config.class_balance)
        self.schedule = Schedule(config.unlabelled_weight, config.warmup, config.ramp)
        self.corrector = _corrector(len(kit.pixels))

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        number = len(labelled.images)
        clean = torch.cat([labelled.images, unlabelled.images]) if weight else labelled.images
        self.teacher_forward(clean)
        images = self.normalize(clean)
        logits = self.student(images).logits
        supervised = self.supervised(logits[:number], labelled.masks)
        probability = logits.float().softmax(1)
        seen = beside(images, probability)
        size = (logits.shape[2], logits.shape[3])

        masks = shrink(labelled.masks, logits)
        correct = torch.full_like(masks, logits.shape[1])  # the last answer
        right = masks == probability[:number].argmax(1)
        correcting = cross_entropy(
            upsample(self.corrector(seen[:number].detach()), size),
            torch.where(right, correct, masks),
        )
        verdict = upsample(frozen(self.corrector, seen), size)
        approval = cross_entropy(verdict[:number], torch.where(masks == IGNORE, masks, correct))
        loss = supervised + correcting + APPROVAL * approval
        logs = {"supervised": supervised.detach(), "corrector": correcting.detach()}
        if not weight:
            return StepResult(loss, logs)

        valid = shrink(unlabelled.valid, logits)
        guess = probability[number:].detach()
        confidence, label = corrected(guess, verdict[number:].detach()).max(1)
        label = label.masked_fill(~valid, IGNORE)
        wrong = F.cross_entropy(
            logits[number:].float(), label, ignore_index=IGNORE, reduction="none"
        )
        pseudo = distributed_mean((wrong * confidence).sum(), valid.sum())
        changed = (valid & (label != guess.argmax(1))).sum() / valid.sum().clamp(min=1)
        return StepResult(
            loss + weight * pseudo, logs | {"unlabelled": pseudo.detach(), "changed": changed}
        )


def corrected(probability: Tensor, verdict: Tensor) -> Tensor:
    """The student's probabilities as far as they are found correct, and what they should be as far
    as not.

    Args:
        probability: (B, C, h, w).
        verdict: (B, C + 1, h, w) logits of the correction network, "correct" last.

    Returns:
        (B, C, h, w), which sums to 1.
    """
    chance = verdict.softmax(1)
    return chance[:, -1:] * probability + chance[:, :-1]


def _corrector(classes: int) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(3 + classes, WIDTH, 3, stride=2, padding=1),
        nn.LeakyReLU(0.2),
    ]
    for dilation in DILATIONS:
        layers += [
            nn.Conv2d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers, nn.Conv2d(WIDTH, classes + 1, 1))


def ecs(kit: MethodContext) -> Method:
    """As described."""
    return ECS(kit)
