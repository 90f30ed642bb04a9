"""UniMatch V2 (Yang et al., 2024, arXiv 2410.10777): an EMA teacher, two strong views,
complementary dropout.

Of every channel of the encoder's features one view gets double and the other nothing, in half of
the frames. Meant for a DINOv2 encoder with a DPT decoder (`arch = "dpt"`), works with any.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.methods.framework.feature_perturbation import complementary_dropout
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import confident
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.framework.views import cutmix
from edgeseg.methods.plugins import plugins

CONFIDENCE = 0.95


class UniMatchV2(OnlineMethod):
    """3B images with gradient, B without."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__(
            kit,
            plugins(kit),
            select=confident(kit.confidence(CONFIDENCE)),
            region=cutmix(kit.config.cutmix),
        )
        self._shared = (
            kit.config.arch == "dpt"
        )  # a ViT's levels are equally wide and share the draw of channels

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.without_footage(labelled)
        labelled = self.prepare(labelled)
        target = self.predict_targets(unlabelled)
        views = [self.view(target, labelled) for _ in range(2)]
        frames = [labelled.images, views[0].images, views[1].images]
        images = self.normalize(torch.cat(frames))
        features = self.student.encode(images)
        output = self.student.forward_head(self._drop(features, len(labelled.images)))
        ours, first, second = torch.split(output.logits, [len(part) for part in frames])

        supervised = self.supervise(ours, labelled)
        one, selected = self.unlabelled_loss(first, views[0], progress)
        two, _ = self.unlabelled_loss(second, views[1], progress)
        consistency = (one + two) / 2
        extra = self.extras(
            StepContext.first_view(images, output, labelled, views[0], unlabelled, progress)
        )
        loss = supervised + weight * (consistency + extra)
        return self.report(loss, supervised, consistency, extra, views[0], selected)

    def _drop(self, features: list[Tensor], number: int) -> list[Tensor]:
        """Leave the `number` labelled frames alone, multiply both views by complementary masks."""
        half = (len(features[0]) - number) // 2
        ones = [torch.ones_like(maps[:half, :, :1, :1]) for maps in features]
        masks = [torch.cat(pair) for pair in zip(*complementary_dropout(ones, shared=self._shared))]
        return [
            torch.cat([maps[:number], maps[number:] * mask]) for maps, mask in zip(features, masks)
        ]


def unimatch_v2(kit: MethodContext) -> Method:
    """Version 2."""
    return UniMatchV2(kit)
