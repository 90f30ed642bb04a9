"""CCT (Ouali et al., CVPR 2020, arXiv 2003.09005): decoders of perturbed features follow the
decoder of clean ones.

Labelled frames train the main decoder alone. On footage small auxiliary decoders, each with its own
perturbation of the encoder's coarsest map, are pulled to the main decoder's softmax, and with them
the encoder. Of the paper's thirty decoders in seven kinds there are four, one each for dropped
places, noise, dropped channels and adversarial noise; the three kinds that erase by the predicted
objects are left out. `teacher = "ema"` lets the average be the main decoder.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.losses.consistency import squared_error
from edgeseg.methods.framework.feature_perturbation import (
    adversarial_noise,
    channel_dropout,
    feature_drop,
    feature_noise,
)
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import everything
from edgeseg.methods.framework.views import PseudoTarget, pseudo_target

# 30 in the paper, of the mean over VOC's 21 classes; times the classes, so that few of them do not
# make it stronger.
WEIGHT = 30 / 21
KINDS, WIDTH = 4, 64
LENGTH, RADIUS = 0.1, 2.0  # of the probing step and of the adversarial noise


class CCT(OnlineMethod):
    """2B images with gradient, B without, and 6B small decoders."""

    def __init__(self, kit: MethodContext) -> None:
        classes = len(kit.pixels)
        super().__init__(
            kit, (), select=everything, pixel=_error, scale=WEIGHT * classes, source="self"
        )
        self.auxiliary = nn.ModuleList(
            auxiliary_decoder(kit.student.encoder_channels[-1], classes) for _ in range(KINDS)
        )

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.without_footage(labelled)
        number = len(labelled.images)
        average = self.teacher_forward(unlabelled.images)
        output = self.student(self.normalize(torch.cat([labelled.images, unlabelled.images])))
        supervised = self.supervise(output.logits[:number], labelled)

        target = pseudo_target(
            unlabelled, average.logits if self.source == "ema" else output.logits[number:]
        )
        views = self._perturb(output.features[-1][number:])
        terms = [
            self.unlabelled_loss(decoder(maps), target, progress)
            for decoder, maps in zip(self.auxiliary, views)
        ]
        consistency = torch.stack([loss for loss, _ in terms]).mean()
        loss = supervised + weight * consistency
        return self.report(
            loss, supervised, consistency, torch.zeros_like(supervised), target, terms[0][1]
        )

    def _perturb(self, maps: Tensor) -> list[Tensor]:
        """One view (B, D, h, w) for each auxiliary decoder; the adversary asks the one that is to
        see its noise.
        """
        last = self.auxiliary[-1]
        noisy = adversarial_noise(lambda moved: last(moved[0]), [maps], LENGTH, RADIUS)
        return [
            view[0]
            for view in (
                feature_drop([maps]),
                feature_noise([maps]),
                channel_dropout([maps]),
                noisy,
            )
        ]


def auxiliary_decoder(width: int, classes: int) -> nn.Module:
    """(B, D, h, w) -> (B, C, 4h, 4w); without batch norm, which one unlabelled frame may leave
    without statistics.
    """
    return nn.Sequential(
        nn.Conv2d(width, WIDTH, 1),
        nn.ReLU(),
        nn.Conv2d(WIDTH, 16 * classes, 3, padding=1),
        nn.PixelShuffle(4),
    )


def _error(logits: Tensor, target: PseudoTarget) -> Tensor:
    return squared_error(logits, target.probability)


def cct(kit: MethodContext) -> Method:
    """As described."""
    return CCT(kit)
