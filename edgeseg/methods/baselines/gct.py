"""GCT (Ke et al., ECCV 2020, arXiv 2005.08258): two networks and a flaw detector.

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

from edgeseg.distributed import distributed_masked_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.baselines.gct_flaw import dynamic_consistency_masks, flaw_loss, flaw_target
from edgeseg.losses.consistency import squared_error
from edgeseg.losses.shared.resize import resize_nearest, upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import all_pixels

FLAW_THRESHOLD = 0.6  # flaw above which a network has nothing to teach on a pixel
# 100 in the paper, of the mean over VOC's 21 classes; times the classes, so that few of them do not
# make it stronger.
CONSISTENCY_WEIGHT = 100 / 21
CORRECTION_WEIGHT, DETECTION_WEIGHT = 1.0, 10.0
WIDTHS = (32, 64, 64)


class FlawDetector(nn.Module):
    """A small convolutional network that sees a frame and its class map."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for in_channels, out_channels in zip((3 + classes, *WIDTHS), WIDTHS):
            convolution = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
            layers += [convolution, nn.GroupNorm(8, out_channels), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))

    def forward(self, images: Tensor, probability: Tensor) -> Tensor:
        """The flaw (B, h, w), 0..1, of class maps (B, C, h, w) on images (B, 3, h, w)."""
        logits = self.layers(torch.cat([images, probability], 1))
        return upsample(logits, _size(probability))[:, 0].sigmoid()


class GCT(OnlineMethod):
    """4B images with gradient, B without, 4B small detectors."""

    propagation = False  # no pseudo-labels whose place they could take

    def __init__(self, context: MethodContext) -> None:
        super().__init__(context, (), select=all_pixels)
        self.second = context.new_network()
        self.detector = FlawDetector(len(context.pixels))

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        number = len(labelled.images)
        frames = [labelled.images] if weight == 0 else [labelled.images, unlabelled.images]
        self.teacher_forward(frames[-1])
        images = self.normalize(torch.cat(frames))
        # Of both networks, (2, B, C, h, w).
        logits = torch.stack([self.student(images).logits, self.second(images).logits]).float()
        small_images = F.adaptive_avg_pool2d(images, _size(logits))
        masks = labelled.masks
        supervised_1 = self.labelled_loss(logits[0, :number], labelled)
        supervised = supervised_1 + self.supervised_loss(logits[1, :number], masks)
        detection = self._detection_loss(small_images[:number], logits[:, :number], masks)
        loss = supervised + DETECTION_WEIGHT * detection
        logs = {"supervised": supervised, "detector": detection}
        if weight > 0:
            consistency, correction = self._constraints(
                small_images[number:], logits[:, number:], unlabelled.valid
            )
            classes = logits.shape[2]
            constraints = (
                CONSISTENCY_WEIGHT * classes * consistency + CORRECTION_WEIGHT * correction
            )
            loss = loss + weight * constraints
            logs |= {"unlabelled": constraints, "correction": correction}
        return StepResult(loss, {name: value.detach() for name, value in logs.items()})

    def _detection_loss(self, images: Tensor, logits: Tensor, masks: Tensor) -> Tensor:
        """The detector's loss () on both networks' detached logits (2, B, C, h, w)."""
        probability = logits.detach().softmax(2).flatten(0, 1)
        label = resize_nearest(masks, _size(logits)).repeat(2, 1, 1)
        flaw = self.detector(images.repeat(2, 1, 1, 1), probability)
        return flaw_loss(flaw, flaw_target(probability, label), label != IGNORE)

    def _constraints(self, images: Tensor, logits: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Dynamic consistency () and flaw correction () of (2, B, C, h, w) logits.

        The detector gets no gradient.
        """
        probability = logits.softmax(2)
        valid = resize_nearest(valid, _size(logits))
        frozen = {name: parameter.detach() for name, parameter in self.detector.named_parameters()}
        inputs = (images.repeat(2, 1, 1, 1), probability.flatten(0, 1))
        flaw_1, flaw_2 = functional_call(self.detector, frozen, inputs).chunk(2)
        first_learns, second_learns, both_bad = dynamic_consistency_masks(
            flaw_1, flaw_2, FLAW_THRESHOLD
        )
        target = probability.detach()
        error = (
            squared_error(logits[0], target[1]) * first_learns
            + squared_error(logits[1], target[0]) * second_learns
        )
        consistency = distributed_masked_mean(error, valid)
        no_flaw, both_bad = torch.zeros_like(flaw_1), both_bad & valid
        correction_1 = flaw_loss(flaw_1, no_flaw, both_bad)
        return consistency, correction_1 + flaw_loss(flaw_2, no_flaw, both_bad)


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]


def gct(context: MethodContext) -> Method:
    """GCT with a small flaw detector, all networks trained in one backward pass."""
    return GCT(context)
