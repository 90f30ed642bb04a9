"""S4GAN with MLMT (Mittal et al., TPAMI 2021, arXiv 1908.05724): a discriminator judges frames with
their class maps.

The student matches the discriminator's mean features of true maps, and learns its own labels of
those frames that are taken for true. Beside that an image-level branch says which classes a frame
shows at all.

Simplified: the branch is a linear layer on the student's deepest features, which the average
shares, instead of a network of its own; and it strikes absent classes from the pseudo-labels, not
from the shipped network's answers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.adversarial import discriminator_loss, feature_matching, trusted
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.methods.baselines.judge import beside, frozen, shrink, strided, truth
from edgeseg.methods.framework.method import Batch, Method, MethodContext, Schedule, StepResult
from edgeseg.models import Output

MATCHING, PRESENCE = 0.1, 0.1  # weights of feature matching and of the image-level branch
TRUST = 0.6  # least probability of being true for a frame to be learned from
PRESENT = 0.2  # least probability of a class in a frame
WIDTHS = (64, 128, 256)


class S4GAN(Method):
    """One pass of the student; three of the discriminator, which is small."""

    def __init__(self, kit: MethodContext) -> None:
        config, classes = kit.config, len(kit.pixels)
        super().__init__(kit.student, kit.pixels, config.ema, config.class_balance)
        self.schedule = Schedule(config.unlabelled_weight, config.warmup, config.ramp)
        pool = [nn.Dropout2d(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.judge = nn.Sequential(strided(3 + classes, WIDTHS), *pool)
        self.verdict = nn.Linear(WIDTHS[-1], 1)
        self.presence = nn.Linear(kit.student.encoder_channels[-1], classes)

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        number = len(labelled.images)
        clean = torch.cat([labelled.images, unlabelled.images]) if weight else labelled.images
        average = self.teacher_forward(clean)
        images = self.normalize(clean)
        output: Output = self.student(images)
        supervised = self.supervised(output.logits[:number], labelled.masks)
        shown = self._shown(output)
        loss = supervised + PRESENCE * _presence_loss(shown[:number], labelled.masks)
        logs = {"supervised": supervised.detach()}
        if not weight:
            return StepResult(loss, logs)

        # The discriminator learns: true maps of labelled frames against predictions on footage.
        probability = output.logits.float().softmax(1)
        guess = probability.detach()
        masks = shrink(labelled.masks, output.logits)
        true = self.judge(beside(images[:number], truth(masks, guess[:number])))
        false = self.judge(beside(images[number:], guess[number:]))
        some = (masks != IGNORE).flatten(1).any(1)
        judging = discriminator_loss(self.verdict(true)[:, 0], self.verdict(false)[:, 0], some)

        # The student learns from it.
        felt = frozen(self.judge, beside(images[number:], probability[number:]))
        matching = feature_matching(true, felt)
        with torch.no_grad():
            expected = self._shown(average)[number:].sigmoid()
            label = guess[number:].argmax(1)
            kept = (
                shrink(unlabelled.valid, output.logits)
                & trusted(self.verdict(felt), TRUST)[:, :, None]
            )
            kept &= expected.gather(1, label.flatten(1)).view_as(label) > PRESENT
        pseudo = cross_entropy(output.logits[number:], label.masked_fill(~kept, IGNORE))
        agreement = (shown[number:].sigmoid() - expected).square().mean(1)
        consistency = distributed_mean(agreement.sum(), agreement.new_tensor(len(agreement)))
        footage = pseudo + MATCHING * matching + PRESENCE * consistency
        logs |= {
            "unlabelled": pseudo.detach(),
            "judge": judging.detach(),
            "matching": matching.detach(),
        }
        return StepResult(loss + judging + weight * footage, logs | {"kept": kept.float().mean()})

    def _shown(self, output: Output) -> Tensor:
        """(B, C) logits that a frame shows a class."""
        found: Tensor = self.presence(output.features[-1].mean((2, 3)))
        return found.float()


def _presence_loss(shown: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy of (B, C) logits against the classes in masks (B, H, W), over frames
    with any label.
    """
    names = torch.arange(shown.shape[1], device=masks.device)
    there = (masks.flatten(1)[:, None] == names[:, None]).any(2)
    some = there.any(1)
    loss = F.binary_cross_entropy_with_logits(shown, there.to(shown.dtype), reduction="none").mean(
        1
    )
    return distributed_mean((loss * some).sum(), some.sum())


def s4gan(kit: MethodContext) -> Method:
    """As described."""
    return S4GAN(kit)
