"""PseudoSeg (Zou et al., ICLR 2021, arXiv 2010.09713): decoder and activation map make the label.

The target of a strong view comes from two predictions of the clean frame. The first is the
decoder's, the second comes from an image-level classifier: its class activation map, spread by
attention over places that look alike. Both are brought to one scale, averaged and sharpened; the
student follows the soft result everywhere, without a threshold.

Simplified: the classifier is linear in the pooled coarsest features, for which Grad-CAM is the
plain activation map, and the attention reads these features alone, with one projection for keys and
queries. The image-level labels are the classes that the masks show.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.losses.baselines.image_level import presence_loss
from edgeseg.losses.consistency import soft_cross_entropy
from edgeseg.losses.corrmatch_correlation import propagate_logits
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import all_pixels, step_result
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.framework.views import PseudoTarget, cut_out
from edgeseg.methods.plugins import make_plugins
from edgeseg.models import Output

ATTENTION_DIM = 128  # of keys and queries
TEMPERATURE = 0.5


class ActivationMap(nn.Module):
    """An image-level classifier on features (B, D, h, w), and its refined class activation map."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(width, classes, 1)
        self.attention = nn.Conv2d(width, ATTENTION_DIM, 1)
        self.scale = nn.Conv2d(classes, classes, 1)

    def classify(self, features: Tensor) -> Tensor:
        """(B, C) logits that a frame shows a class."""
        logits: Tensor = self.classifier(features.mean((2, 3), keepdim=True))
        return logits.flatten(1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) logits; features and classifier get no gradient from them."""
        features = features.detach()
        activation = F.conv2d(features, self.classifier.weight.detach())
        # Without normalization `scale` would run after a moving range.
        largest = activation.abs().amax((1, 2, 3), keepdim=True)
        activation = activation / largest.clamp(min=1e-6)
        spread = propagate_logits(self.attention(features), activation)
        logits: Tensor = self.scale(activation + spread)
        return logits


class PseudoSeg(OnlineMethod):
    """2B images with gradient, 2B without.

    Attributes:
        second_opinion: the classifier and its activation map.
    """

    def __init__(self, context: MethodContext) -> None:
        super().__init__(
            context,
            make_plugins(context),
            select=all_pixels,
            pixel_loss=_soft_cross_entropy,
            target_source="self",
        )
        self.second_opinion = ActivationMap(
            context.student.encoder_channels[-1], len(context.pixels)
        )

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        labelled = self.prepare_labelled(labelled)
        number = len(labelled.images)
        if weight == 0:
            self.teacher_forward(labelled.images)
            output = self.student(self.normalize(labelled.images))
            supervised = self.labelled_loss(output.logits, labelled)
            activation = self._activation_loss(output, labelled.masks)
            logs = {"supervised": supervised.detach(), "opinion": activation.detach()}
            return StepResult(supervised + activation, logs)

        target = self.strong_view(self._clean_targets(unlabelled), labelled)
        if self._config.strong:
            target = cut_out(target)
        images = self.normalize(torch.cat([labelled.images, target.images]))
        output = self.student(images)
        supervised = self.labelled_loss(output.logits[:number], labelled)
        activation = self._activation_loss(output, labelled.masks)
        consistency, selected = self.unlabelled_loss(output.logits[number:], target, progress)
        auxiliary = self.auxiliary_losses(
            StepContext(images, output, labelled, target, unlabelled.images, progress)
        )
        loss = supervised + activation + weight * (consistency + auxiliary)
        result = step_result(loss, supervised, consistency, auxiliary, target, selected)
        return StepResult(loss, result.logs | {"opinion": activation.detach()})

    def _activation_loss(self, output: Output, masks: Tensor) -> Tensor:
        """The loss () of the classifier and of its refined map on the labelled frames.

        These come first in `output`.
        """
        features = output.features[-1][: len(masks)]
        presence = presence_loss(self.second_opinion.classify(features), masks)
        return presence + self.supervised_loss(self.second_opinion(features), masks)

    @torch.no_grad()
    def _clean_targets(self, unlabelled: Batch) -> PseudoTarget:
        output = self.teacher_forward(unlabelled.images)
        if self.target_source == "self":
            output = self.predict_in_eval_mode(self.student, unlabelled.images)
        size = (output.logits.shape[2], output.logits.shape[3])
        activation_logits = upsample(self.second_opinion(output.features[-1]), size)
        fused = fuse_logits(output.logits, activation_logits)
        return self.make_targets(unlabelled, output._replace(logits=fused))


def fuse_logits(logits_1: Tensor, logits_2: Tensor) -> Tensor:
    """Logits (B, C, h, w) of the sharpened mean of two predictions.

    Each pixel's logits are divided by their joint root mean square before the softmax.
    """
    both = torch.stack([logits_1.float(), logits_2.float()])  # (2, B, C, h, w)
    both = both - both.mean(2, keepdim=True)  # a constant in the logits of a pixel says nothing
    scale = both.square().mean((0, 2)).sqrt().clamp(min=1e-6)[:, None]
    return (both / scale).softmax(2).mean(0).log() / TEMPERATURE


def _soft_cross_entropy(logits: Tensor, target: PseudoTarget) -> Tensor:
    return soft_cross_entropy(logits, target.probability)


def pseudoseg(context: MethodContext) -> Method:
    """PseudoSeg with a linear image-level classifier."""
    return PseudoSeg(context)
