"""ECS (Mendel et al., ECCV 2020): a correction network finds the errors of a segmentation.

It sees frame and segmentation, and says of each pixel "correct", or which class it should be: C + 1
outputs, learned on labelled frames. There the student in turn learns to be found correct; on
footage it learns its own prediction as corrected, a pixel counting by the probability of its
corrected label.

Simplified: the correction network is five small convolutions at half the logits' resolution, no
DeepLab of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.losses.shared.resize import resize_nearest, upsample
from edgeseg.methods.baselines.discriminator import call_frozen, image_and_class_map
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.schedule import Schedule

CORRECTNESS_WEIGHT = 0.1  # of the student's loss to be found correct
WIDTH = 64
DILATIONS = (1, 2, 4)


class ECS(Method):
    """One pass of the student; two of the correction network, which is small."""

    def __init__(self, context: MethodContext) -> None:
        config = context.config
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        self.schedule = Schedule(config.unlabelled_weight, config.warmup, config.ramp)
        self.corrector = _correction_network(len(context.pixels))

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        number = len(labelled.images)
        clean = torch.cat([labelled.images, unlabelled.images]) if weight else labelled.images
        self.teacher_forward(clean)
        images = self.normalize(clean)
        logits = self.student(images).logits
        supervised = self.supervised_loss(logits[:number], labelled.masks)
        probability = logits.float().softmax(1)
        inputs = image_and_class_map(images, probability)
        size = (logits.shape[2], logits.shape[3])

        # The correction network learns where the student errs on labelled frames.
        masks = resize_nearest(labelled.masks, size)
        correct = torch.full_like(masks, logits.shape[1])  # the last of the C + 1 outputs
        right = masks == probability[:number].argmax(1)
        correcting = cross_entropy(
            upsample(self.corrector(inputs[:number].detach()), size),
            torch.where(right, correct, masks),
        )
        # The student learns to be found correct.
        correction = upsample(call_frozen(self.corrector, inputs), size)
        correctness = cross_entropy(
            correction[:number], torch.where(masks == IGNORE, masks, correct)
        )
        loss = supervised + correcting + CORRECTNESS_WEIGHT * correctness
        logs = {"supervised": supervised.detach(), "corrector": correcting.detach()}
        if not weight:
            return StepResult(loss, logs)

        # And it learns the corrected labels of footage.
        valid = resize_nearest(unlabelled.valid, size)
        prediction = probability[number:].detach()
        confidence, label = corrected_probability(prediction, correction[number:].detach()).max(1)
        label = label.masked_fill(~valid, IGNORE)
        pixel_loss = F.cross_entropy(
            logits[number:].float(), label, ignore_index=IGNORE, reduction="none"
        )
        pseudo_loss = distributed_mean((pixel_loss * confidence).sum(), valid.sum())
        changed = (valid & (label != prediction.argmax(1))).sum() / valid.sum().clamp(min=1)
        logs |= {"unlabelled": pseudo_loss.detach(), "changed": changed}
        return StepResult(loss + weight * pseudo_loss, logs)


def corrected_probability(probability: Tensor, correction: Tensor) -> Tensor:
    """The student's probabilities as far as they are found correct, else what they should be.

    Args:
        probability: (B, C, h, w).
        correction: (B, C + 1, h, w) logits of the correction network, "correct" last.

    Returns:
        (B, C, h, w), which sums to 1.
    """
    p_correction = correction.softmax(1)
    return p_correction[:, -1:] * probability + p_correction[:, :-1]


def _correction_network(classes: int) -> nn.Sequential:
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


def ecs(context: MethodContext) -> Method:
    """ECS with a small correction network."""
    return ECS(context)
