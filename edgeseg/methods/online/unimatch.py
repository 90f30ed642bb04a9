"""UniMatch (Yang et al., CVPR 2023, arXiv 2208.09910): two strong views and one with perturbed
features.

The student's confident word on the clean frame is the target of all three streams. Other than the
official code, the labelled, clean and strong frames go through the student in one pass, and CutMix
takes its pixels from the next frame of the batch. `teacher = "ema"` lets the average label.
"""

from __future__ import annotations

import torch

from edgeseg.methods.framework.feature_perturbation import channel_dropout
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import confident
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.framework.views import cutmix
from edgeseg.methods.plugins import plugins

CONFIDENCE = 0.95
STRONG, PERTURBED = (
    0.25,
    0.5,
)  # weights of each strong view and of the feature stream beside the supervised loss
DROPPED = 0.5  # chance of a channel


class UniMatch(OnlineMethod):
    """4B images and 1B features with gradient a step."""

    def __init__(self, kit: MethodContext) -> None:
        region = cutmix(kit.config.cutmix)
        super().__init__(
            kit,
            plugins(kit),
            select=confident(kit.confidence(CONFIDENCE)),
            region=region,
            source="self",
        )

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.without_footage(labelled)
        labelled = self.prepare(labelled)
        target = self.predict_targets(unlabelled)
        views = [self.view(target, labelled) for _ in range(2)]
        frames = [labelled.images, views[0].images, views[1].images, unlabelled.images]
        images = self.normalize(torch.cat(frames))
        features = self.student.encode(images)
        number = len(unlabelled.images)
        perturbed = channel_dropout([maps[-number:] for maps in features], DROPPED)
        # One decoder pass for all: batch norm cannot do with a single perturbed frame.
        output = self.student.forward_head([torch.cat(pair) for pair in zip(features, perturbed)])
        sizes = [*(len(part) for part in frames), number]
        ours, first, second, _, dropped = torch.split(output.logits, sizes)

        supervised = self.supervise(ours, labelled)
        one, selected = self.unlabelled_loss(first, views[0], progress)
        two, _ = self.unlabelled_loss(second, views[1], progress)
        third, _ = self.unlabelled_loss(dropped, target, progress)
        consistency = STRONG * (one + two) + PERTURBED * third
        seen = StepContext.first_view(images, output, labelled, views[0], unlabelled, progress)
        extra = self.extras(seen)
        loss = supervised + weight * (consistency + extra)
        return self.report(loss, supervised, consistency, extra, views[0], selected)


def unimatch(kit: MethodContext) -> Method:
    """Version 1, for convolutional encoders."""
    return UniMatch(kit)
