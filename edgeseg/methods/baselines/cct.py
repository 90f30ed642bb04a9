"""CCT (Ouali et al., CVPR 2020, arXiv 2003.09005): cross-consistency training of small decoders.

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
from edgeseg.methods.framework.pixel_selection import all_pixels, step_result
from edgeseg.methods.framework.views import PseudoTarget, pseudo_target

# 30 in the paper, of the mean over VOC's 21 classes; times the classes, so that few of them do not
# make it stronger.
WEIGHT = 30 / 21
DECODERS, WIDTH = 4, 64
XI, RADIUS = 0.1, 2.0  # lengths of the power iteration's step and of the adversarial noise


class CCT(OnlineMethod):
    """2B images with gradient, B without, and 6B small decoders."""

    def __init__(self, context: MethodContext) -> None:
        classes = len(context.pixels)
        super().__init__(
            context,
            (),
            select=all_pixels,
            pixel_loss=_squared_error,
            weight_scale=WEIGHT * classes,
            target_source="self",
        )
        self.auxiliary = nn.ModuleList(
            auxiliary_decoder(context.student.encoder_channels[-1], classes)
            for _ in range(DECODERS)
        )

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.warmup_step(labelled)
        number = len(labelled.images)
        average = self.teacher_forward(unlabelled.images)
        output = self.student(self.normalize(torch.cat([labelled.images, unlabelled.images])))
        supervised = self.labelled_loss(output.logits[:number], labelled)

        main_logits = average.logits if self.target_source == "ema" else output.logits[number:]
        target = pseudo_target(unlabelled, main_logits)
        views = self._perturbed(output.features[-1][number:])
        losses = [
            self.unlabelled_loss(decoder(maps), target, progress)
            for decoder, maps in zip(self.auxiliary, views)
        ]
        consistency = torch.stack([loss for loss, _ in losses]).mean()
        loss = supervised + weight * consistency
        nothing = torch.zeros_like(supervised)
        return step_result(loss, supervised, consistency, nothing, target, losses[0][1])

    def _perturbed(self, maps: Tensor) -> list[Tensor]:
        """One view (B, D, h, w) for each auxiliary decoder; the last one's noise is against it."""
        last = self.auxiliary[-1]
        noisy = adversarial_noise(lambda moved: last(moved[0]), [maps], XI, RADIUS)
        views = (feature_drop([maps]), feature_noise([maps]), channel_dropout([maps]), noisy)
        return [view[0] for view in views]


def auxiliary_decoder(width: int, classes: int) -> nn.Module:
    """A decoder from (B, D, h, w) to (B, C, 4h, 4w) by pixel shuffle.

    It has no batch norm, which one unlabelled frame may leave without statistics.
    """
    return nn.Sequential(
        nn.Conv2d(width, WIDTH, 1),
        nn.ReLU(),
        nn.Conv2d(WIDTH, 16 * classes, 3, padding=1),
        nn.PixelShuffle(4),
    )


def _squared_error(logits: Tensor, target: PseudoTarget) -> Tensor:
    return squared_error(logits, target.probability)


def cct(context: MethodContext) -> Method:
    """CCT with four auxiliary decoders of different perturbations."""
    return CCT(context)
