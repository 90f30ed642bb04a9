"""PseudoSeg (Zou et al., ICLR 2021, arXiv 2010.09713): two opinions about a clean frame make the
label of a strong one.

The first is the decoder's, the second comes from an image-level classifier: its class activation
map, spread by attention over places that look alike. Both are brought to one scale, averaged and
sharpened; the student follows the soft result everywhere, without a threshold. Simplified: the
classifier is linear in the pooled coarsest features, for which Grad-CAM is the plain activation
map, and the attention reads these features alone, with one projection for keys and queries. The
image-level labels are the classes that the masks show.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.consistency import soft_cross_entropy
from edgeseg.losses.corrmatch_correlation import propagate
from edgeseg.losses.cross_entropy import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import everything
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.framework.views import PseudoTarget, erase
from edgeseg.methods.plugins import plugins
from edgeseg.models import Output

ATTENTION = 128  # width of keys and queries
TEMPERATURE = 0.5


class ActivationMap(nn.Module):
    """Which classes a frame shows, and where, by features (B, D, h, w)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(width, classes, 1)
        self.attention = nn.Conv2d(width, ATTENTION, 1)
        self.scale = nn.Conv2d(classes, classes, 1)

    def tags(self, features: Tensor) -> Tensor:
        """(B, C) logits of whether a class is there at all."""
        found: Tensor = self.classifier(features.mean((2, 3), keepdim=True))
        return found.flatten(1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) logits; features and classifier get no gradient from them."""
        features = features.detach()
        raw = F.conv2d(features, self.classifier.weight.detach())
        raw = raw / raw.abs().amax((1, 2, 3), keepdim=True).clamp(
            min=1e-6
        )  # or `scale` runs after a moving goal
        found: Tensor = self.scale(raw + propagate(self.attention(features), raw))
        return found


class PseudoSeg(OnlineMethod):
    """2B images with gradient, 2B without."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__(kit, plugins(kit), select=everything, pixel=_error, source="self")
        self.second_opinion = ActivationMap(kit.student.encoder_channels[-1], len(kit.pixels))

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        labelled = self.prepare(labelled)
        number = len(labelled.images)
        if weight == 0:
            self.teacher_forward(labelled.images)
            output = self.student(self.normalize(labelled.images))
            supervised, opinion = (
                self.supervise(output.logits, labelled),
                self._teach(output, labelled.masks),
            )
            return StepResult(
                supervised + opinion,
                {"supervised": supervised.detach(), "opinion": opinion.detach()},
            )

        target = self.view(self._clean(unlabelled), labelled)
        if self._color:
            target = erase(target)
        images = self.normalize(torch.cat([labelled.images, target.images]))
        output = self.student(images)
        supervised, opinion = (
            self.supervise(output.logits[:number], labelled),
            self._teach(output, labelled.masks),
        )
        consistency, selected = self.unlabelled_loss(output.logits[number:], target, progress)
        extra = self.extras(
            StepContext(images, output, labelled, target, unlabelled.images, progress)
        )
        loss = supervised + opinion + weight * (consistency + extra)
        result = self.report(loss, supervised, consistency, extra, target, selected)
        return StepResult(loss, result.logs | {"opinion": opinion.detach()})

    def _teach(self, output: Output, masks: Tensor) -> Tensor:
        """The loss () of the classifier and of its refined map on the labelled frames, which come
        first.
        """
        features = output.features[-1][: len(masks)]
        tags = tag_loss(self.second_opinion.tags(features), masks)
        return tags + self.supervised(self.second_opinion(features), masks)

    @torch.no_grad()
    def _clean(self, unlabelled: Batch) -> PseudoTarget:
        output = self.teacher_forward(unlabelled.images)
        if self.source == "self":
            output = self.student_predict(self.student, unlabelled.images)
        size = (output.logits.shape[2], output.logits.shape[3])
        other = upsample(self.second_opinion(output.features[-1]), size)
        return self.refine(unlabelled, output._replace(logits=fuse(output.logits, other)))


def tag_loss(tags: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy () of (B, C) logits with the classes of (B, H, W) masks; frames without
    labels are left out.

    The mean over classes and over the frames of all processes.
    """
    seen = torch.zeros(len(masks), IGNORE + 1, device=masks.device).scatter_(
        1, masks.flatten(1), 1.0
    )
    present = seen[:, : tags.shape[1]]
    known = present.amax(1)
    loss = F.binary_cross_entropy_with_logits(tags.float(), present, reduction="none").mean(1)
    return distributed_mean((loss * known).sum(), known.sum())


def fuse(one: Tensor, other: Tensor) -> Tensor:
    """Logits (B, C, h, w) of the sharpened mean of two opinions, each divided by their joint root
    mean square.
    """
    opinions = torch.stack([one.float(), other.float()])
    opinions = opinions - opinions.mean(
        2, keepdim=True
    )  # logits are known up to a constant, which has no say
    scale = opinions.square().mean((0, 2)).sqrt().clamp(min=1e-6)[:, None]
    return (opinions / scale).softmax(2).mean(0).log() / TEMPERATURE


def _error(logits: Tensor, target: PseudoTarget) -> Tensor:
    return soft_cross_entropy(logits, target.probability)


def pseudoseg(kit: MethodContext) -> Method:
    """As described."""
    return PseudoSeg(kit)
