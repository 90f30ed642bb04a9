"""UniMatch V2 (Yang et al., 2024, arXiv 2410.10777): two strong views of complementary dropout.

An EMA teacher labels; threshold and mixing are those of `unimatch.py`. In half of the frames one
view gets double of every channel of the encoder's features, and the other nothing of it. Meant for
a DINOv2 encoder with a DPT decoder (`arch = "dpt"`), works with any.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.methods.framework.feature_perturbation import complementary_dropout
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.mix_regions import cutmix_by_frame
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import confident_pixels, step_result
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.plugins import make_plugins


class UniMatchV2(OnlineMethod):
    """3B images with gradient, B without."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__(
            context,
            make_plugins(context),
            select=confident_pixels(context.confidence_threshold()),
            mix_region=cutmix_by_frame(context.mixing_chance()),
        )
        # A ViT's levels are equally wide and share the draw of channels.
        self._shared = context.config.arch == "dpt"

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.warmup_step(labelled)
        labelled = self.prepare_labelled(labelled)
        target = self.predict_targets(unlabelled)
        views = [self.strong_view(target, labelled) for _ in range(2)]
        frames = [labelled.images, views[0].images, views[1].images]
        images = self.normalize(torch.cat(frames))
        features = self.student.encode(images)
        output = self.student.forward_head(self._drop_channels(features, len(labelled.images)))
        labelled_logits, logits_1, logits_2 = torch.split(
            output.logits, [len(part) for part in frames]
        )

        supervised = self.labelled_loss(labelled_logits, labelled)
        loss_1, selected = self.unlabelled_loss(logits_1, views[0], progress)
        loss_2, _ = self.unlabelled_loss(logits_2, views[1], progress)
        consistency = (loss_1 + loss_2) / 2
        auxiliary = self.auxiliary_losses(
            StepContext.first_view(images, output, labelled, views[0], unlabelled, progress)
        )
        loss = supervised + weight * (consistency + auxiliary)
        return step_result(loss, supervised, consistency, auxiliary, views[0], selected)

    def _drop_channels(self, features: list[Tensor], number: int) -> list[Tensor]:
        """Multiply both views by complementary masks; leave the `number` labelled frames alone."""
        half = (len(features[0]) - number) // 2
        ones = [torch.ones_like(maps[:half, :, :1, :1]) for maps in features]
        masks = [torch.cat(pair) for pair in zip(*complementary_dropout(ones, shared=self._shared))]
        return [
            torch.cat([maps[:number], maps[number:] * mask]) for maps, mask in zip(features, masks)
        ]


def unimatch_v2(context: MethodContext) -> Method:
    """Version 2, for vision transformers and any other encoder."""
    return UniMatchV2(context)
