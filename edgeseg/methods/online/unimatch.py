"""UniMatch (Yang et al., CVPR 2023, arXiv 2208.09910): two strong views and perturbed features.

The student's labels of the clean frame are the target of all three streams. Each strong view of
each frame has CutMix with a chance of one half, a box of 2 to 40 % of the area. All labels count:
the published threshold is 0.95 on VOC, whose frames are mostly background, and 0 on Cityscapes,
where every pixel has a class as on a site; at 0.95 rare classes are the first to lose their labels.

Other than in the official code, the labelled, clean and strong frames go through the student in one
pass, the student labels in eval mode, and CutMix takes its pixels from the next frame of the batch.
`teacher = "ema"` lets the average label.
"""

from __future__ import annotations

import torch

from edgeseg.methods.framework.feature_perturbation import channel_dropout
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.mix_regions import cutmix_by_frame
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import confident_pixels, step_result
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.plugins import make_plugins

# Weights of each strong view and of the feature stream beside the supervised loss.
STRONG_WEIGHT, PERTURBED_WEIGHT = 0.25, 0.5
CHANNEL_DROPOUT = 0.5


class UniMatch(OnlineMethod):
    """4B images and B perturbed features with gradient a step."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__(
            context,
            make_plugins(context),
            select=confident_pixels(context.confidence_threshold()),
            mix_region=cutmix_by_frame(context.mixing_chance()),
            target_source="self",
        )

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.warmup_step(labelled)
        labelled = self.prepare_labelled(labelled)
        target = self.predict_targets(unlabelled)
        views = [self.strong_view(target, labelled) for _ in range(2)]
        frames = [labelled.images, views[0].images, views[1].images, unlabelled.images]
        images = self.normalize(torch.cat(frames))
        features = self.student.encode(images)
        number = len(unlabelled.images)
        perturbed = channel_dropout([maps[-number:] for maps in features], CHANNEL_DROPOUT)
        # One decoder pass for all: batch norm cannot do with a single perturbed frame.
        output = self.student.forward_head([torch.cat(pair) for pair in zip(features, perturbed)])
        sizes = [*(len(part) for part in frames), number]
        labelled_logits, logits_1, logits_2, _, logits_perturbed = torch.split(output.logits, sizes)

        supervised = self.labelled_loss(labelled_logits, labelled)
        loss_1, selected = self.unlabelled_loss(logits_1, views[0], progress)
        loss_2, _ = self.unlabelled_loss(logits_2, views[1], progress)
        loss_perturbed, _ = self.unlabelled_loss(logits_perturbed, target, progress)
        consistency = STRONG_WEIGHT * (loss_1 + loss_2) + PERTURBED_WEIGHT * loss_perturbed
        auxiliary = self.auxiliary_losses(
            StepContext.first_view(images, output, labelled, views[0], unlabelled, progress)
        )
        loss = supervised + weight * (consistency + auxiliary)
        return step_result(loss, supervised, consistency, auxiliary, views[0], selected)


def unimatch(context: MethodContext) -> Method:
    """Version 1, for convolutional encoders."""
    return UniMatch(context)
