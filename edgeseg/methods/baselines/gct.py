"""GCT (Ke et al., ECCV 2020, arXiv 2008.05258): two networks and a detector that says where each of
them is wrong.

The flaw detector learns from labelled frames how wrong a prediction is around each pixel. On
footage, the network that it thinks the worse of learns from the other one (dynamic consistency);
where both are bad, both try to make the detector think better of them (flaw correction). Other than
in the official code all three train in one backward pass, the detector works at the resolution of
the logits, a threshold on its output takes the place of normalized flaw maps, and both constraints
run on footage alone. The first network's average is what is evaluated and shipped.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.adversarial import flaw_loss, flaw_target, learners
from edgeseg.losses.consistency import squared_error
from edgeseg.losses.cross_entropy import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import everything

BAD = 0.6  # flaw from which on a pixel has nothing to teach
# 100 in the paper, of the mean over VOC's 21 classes; times the classes, so that few of them do not
# make it stronger.
CONSISTENCY = 100 / 21
CORRECTION, DETECTION = 1.0, 10.0
WIDTHS = (32, 64, 64)


class FlawDetector(nn.Module):
    """A small convolutional network."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, outside in zip((3 + classes, *WIDTHS), WIDTHS):
            convolution = nn.Conv2d(inside, outside, 3, stride=2, padding=1)
            layers += [convolution, nn.GroupNorm(8, outside), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))

    def forward(self, images: Tensor, probability: Tensor) -> Tensor:
        """How wrong (B, C, h, w) is on (B, 3, h, w): (B, h, w), 0..1."""
        found = self.layers(torch.cat([images, probability], 1))
        return upsample(found, _size(probability))[:, 0].sigmoid()


class GCT(OnlineMethod):
    """4B images with gradient, B without, 4B small detectors."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__(kit, (), select=everything)
        self.second = kit.another()
        self.detector = FlawDetector(len(kit.pixels))

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        number = len(labelled.images)
        frames = [labelled.images] if weight == 0 else [labelled.images, unlabelled.images]
        self.teacher_forward(frames[-1])
        images = self.normalize(torch.cat(frames))
        logits = torch.stack(
            [self.student(images).logits, self.second(images).logits]
        ).float()  # (2, B, C, h, w)
        small = F.adaptive_avg_pool2d(images, _size(logits))
        masks = labelled.masks
        supervised = self.supervise(logits[0, :number], labelled) + self.supervised(
            logits[1, :number], masks
        )
        detection = self._detect(small[:number], logits[:, :number], masks)
        loss = supervised + DETECTION * detection
        logs = {"supervised": supervised, "detector": detection}
        if weight > 0:
            consistency, correction = self._constrain(
                small[number:], logits[:, number:], unlabelled.valid
            )
            together = CONSISTENCY * logits.shape[2] * consistency + CORRECTION * correction
            loss = loss + weight * together
            logs |= {"unlabelled": together, "correction": correction}
        return StepResult(loss, {name: value.detach() for name, value in logs.items()})

    def _detect(self, images: Tensor, logits: Tensor, masks: Tensor) -> Tensor:
        """What the detector learns from both networks' (2, B, C, h, w) logits, to which it gives no
        gradient.
        """
        probability = logits.detach().softmax(2).flatten(0, 1)
        label = _shrink(masks, _size(logits)).repeat(2, 1, 1)
        found = self.detector(images.repeat(2, 1, 1, 1), probability)
        return flaw_loss(found, flaw_target(probability, label), label != IGNORE)

    def _constrain(self, images: Tensor, logits: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Dynamic consistency and flaw correction of (2, B, C, h, w) logits, which leave the
        detector alone.
        """
        probability = logits.softmax(2)
        valid = _shrink(valid.long(), _size(logits)) > 0
        frozen = {name: parameter.detach() for name, parameter in self.detector.named_parameters()}
        seen = (images.repeat(2, 1, 1, 1), probability.flatten(0, 1))
        one, other = functional_call(self.detector, frozen, seen).chunk(2)
        first, second, both = learners(one, other, BAD)
        goal = probability.detach()
        error = (
            squared_error(logits[0], goal[1]) * first + squared_error(logits[1], goal[0]) * second
        )
        consistency = distributed_mean((error * valid).sum(), valid.sum())
        nothing, both = torch.zeros_like(one), both & valid
        return consistency, flaw_loss(one, nothing, both) + flaw_loss(other, nothing, both)


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]


def _shrink(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) int64 -> (B, *size), nearest."""
    return F.interpolate(maps[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()


def gct(kit: MethodContext) -> Method:
    """As described."""
    return GCT(kit)
