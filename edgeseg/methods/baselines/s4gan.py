"""S4GAN with MLMT (Mittal et al., TPAMI 2021, arXiv 1908.05724): a discriminator of frames.

It sees a frame with its class map. The student matches the discriminator's mean features of true
maps, and learns its own labels of those frames that are taken for true. Beside that an image-level
branch (multi-label mean teacher, MLMT) says which classes a frame shows at all.

Simplified: the branch is a linear layer on the student's deepest features, which the average
shares, instead of a network of its own; and it strikes absent classes from the pseudo-labels, not
from the shipped network's predictions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.baselines.adversarial import discriminator_loss, feature_matching, judged_real
from edgeseg.losses.baselines.image_level import presence_loss
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.losses.shared.resize import resize_nearest
from edgeseg.methods.baselines.discriminator import (
    call_frozen,
    image_and_class_map,
    strided_convolutions,
    true_class_map,
)
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.schedule import Schedule
from edgeseg.models import Output

MATCHING_WEIGHT, PRESENCE_WEIGHT = 0.1, 0.1  # of feature matching and of the image-level branch
REAL_THRESHOLD = 0.6  # probability of being real above which a frame's pseudo-labels are learned
PRESENCE_THRESHOLD = 0.2  # probability of a class in a frame above which its labels are learned
WIDTHS = (64, 128, 256)


class S4GAN(Method):
    """One pass of the student; three of the discriminator, which is small.

    Attributes:
        judge: the discriminator's features.
        verdict: the discriminator's last layer.
        presence: the image-level branch.
    """

    def __init__(self, context: MethodContext) -> None:
        config, classes = context.config, len(context.pixels)
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        self.schedule = Schedule(config.unlabelled_weight, config.warmup, config.ramp)
        pool = [nn.Dropout2d(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.judge = nn.Sequential(strided_convolutions(3 + classes, WIDTHS), *pool)
        self.verdict = nn.Linear(WIDTHS[-1], 1)
        self.presence = nn.Linear(context.student.encoder_channels[-1], classes)

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        number = len(labelled.images)
        clean = torch.cat([labelled.images, unlabelled.images]) if weight else labelled.images
        average = self.teacher_forward(clean)
        images = self.normalize(clean)
        output: Output = self.student(images)
        supervised = self.supervised_loss(output.logits[:number], labelled.masks)
        presence_logits = self._presence_logits(output)
        presence = presence_loss(presence_logits[:number], labelled.masks)
        loss = supervised + PRESENCE_WEIGHT * presence
        logs = {"supervised": supervised.detach()}
        if not weight:
            return StepResult(loss, logs)

        # The discriminator learns: true maps of labelled frames against predictions on footage.
        size = (output.logits.shape[2], output.logits.shape[3])
        probability = output.logits.float().softmax(1)
        prediction = probability.detach()
        masks = resize_nearest(labelled.masks, size)
        real_map = true_class_map(masks, prediction[:number])
        real = self.judge(image_and_class_map(images[:number], real_map))
        fake = self.judge(image_and_class_map(images[number:], prediction[number:]))
        has_labels = (masks != IGNORE).flatten(1).any(1)
        discriminating = discriminator_loss(
            self.verdict(real)[:, 0], self.verdict(fake)[:, 0], has_labels
        )

        # The student learns from it.
        fake_features = call_frozen(
            self.judge, image_and_class_map(images[number:], probability[number:])
        )
        matching = feature_matching(real, fake_features)
        with torch.no_grad():
            expected_presence = self._presence_logits(average)[number:].sigmoid()
            label = prediction[number:].argmax(1)
            real_frames = judged_real(self.verdict(fake_features), REAL_THRESHOLD)[:, :, None]
            kept = resize_nearest(unlabelled.valid, size) & real_frames
            label_presence = expected_presence.gather(1, label.flatten(1)).view_as(label)
            kept &= label_presence > PRESENCE_THRESHOLD
        pseudo_loss = cross_entropy(output.logits[number:], label.masked_fill(~kept, IGNORE))
        presence_error = presence_logits[number:].sigmoid() - expected_presence
        squared_error = presence_error.square().mean(1)
        consistency = distributed_mean(
            squared_error.sum(), squared_error.new_tensor(len(squared_error))
        )
        footage = pseudo_loss + MATCHING_WEIGHT * matching + PRESENCE_WEIGHT * consistency
        logs |= {
            "unlabelled": pseudo_loss.detach(),
            "judge": discriminating.detach(),
            "matching": matching.detach(),
            "kept": kept.float().mean(),
        }
        return StepResult(loss + discriminating + weight * footage, logs)

    def _presence_logits(self, output: Output) -> Tensor:
        """(B, C) logits that a frame shows a class."""
        logits: Tensor = self.presence(output.features[-1].mean((2, 3)))
        return logits.float()


def s4gan(context: MethodContext) -> Method:
    """S4GAN with a small discriminator and a linear image-level branch."""
    return S4GAN(context)
