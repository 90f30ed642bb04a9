"""The student's view of unlabelled frames and what is believed about them, moved together pixel by
pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.data.augment import cutout, strong_augment
from edgeseg.data.cutmix import mix_boxes, random_boxes
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.cross_entropy import upsample
from edgeseg.losses.entropy import entropy
from edgeseg.methods.framework.method import Batch


@dataclass(frozen=True)
class PseudoTarget:
    """Images and what is believed about each of their pixels.

    Attributes:
        images: (B, 3, H, W) 0..1.
        probability: (B, C, H, W) float32; a pixel that is known for certain has a 1.
        valid: (B, H, W) bool, false in the padding.
        peers: what other networks believe, each as `probability`, moved along with it.
    """

    images: Tensor
    probability: Tensor
    valid: Tensor
    peers: tuple[Tensor, ...] = ()

    @cached_property
    def _best(self) -> tuple[Tensor, Tensor]:
        confidence, label = self.probability.max(1)
        return confidence, label.masked_fill(~self.valid, IGNORE)

    @property
    def confidence(self) -> Tensor:
        """(B, H, W) probability of the most likely class."""
        return self._best[0]

    @property
    def label(self) -> Tensor:
        """(B, H, W) int64, the most likely class, 255 in the padding."""
        return self._best[1]

    @cached_property
    def entropy(self) -> Tensor:
        """(B, H, W) 0..1."""
        return entropy(self.probability)


Region = Callable[
    [PseudoTarget], Tensor | None
]  # which pixels (B, H, W) are taken from the next frame; None: none at all


def pseudo_target(batch: Batch, logits: Tensor) -> PseudoTarget:
    """The frames of `batch` with the softmax of (B, C, h, w) logits, without gradient."""
    size = (batch.images.shape[2], batch.images.shape[3])
    return PseudoTarget(batch.images, upsample(logits.detach(), size).softmax(1), batch.valid)


def recolor(target: PseudoTarget) -> PseudoTarget:
    """Strong colors; what is believed stays."""
    return replace(target, images=strong_augment(target.images))


def erase(target: PseudoTarget) -> PseudoTarget:
    """CutOut in half of the frames: noise in a box, about which nothing is believed."""
    images, label = cutout(target.images, target.label)
    return replace(target, images=images, valid=label != IGNORE)


def paste(target: PseudoTarget, region: Tensor | None) -> PseudoTarget:
    """Inside the region (B, H, W) take image and belief of the next frame of the batch."""
    if region is None:
        return target
    images, probability, valid = (
        mix_boxes(part, region) for part in (target.images, target.probability, target.valid)
    )
    return PseudoTarget(
        images, probability, valid, tuple(mix_boxes(peer, region) for peer in target.peers)
    )


def insert(target: PseudoTarget, labelled: Batch, donor: Tensor, region: Tensor) -> PseudoTarget:
    """Inside the region (B, H, W) take image and truth of labelled frames.

    Args:
        donor: (B,) int64, which labelled frame each frame takes from.
    """
    classes = target.probability.shape[1]
    truth = labelled.masks[donor]
    certain = (
        F.one_hot(truth.clamp(max=classes - 1), classes).movedim(-1, 1).to(target.probability.dtype)
    )
    inside = region[:, None]
    return PseudoTarget(
        torch.where(inside, labelled.images[donor], target.images),
        torch.where(inside, certain, target.probability),
        torch.where(region, labelled.valid[donor] & (truth < classes), target.valid),
        tuple(torch.where(inside, certain, peer) for peer in target.peers),
    )


def by_peer(target: PseudoTarget, index: int = 0) -> PseudoTarget:
    """The same view with the belief of a peer."""
    return PseudoTarget(target.images, target.peers[index], target.valid)


def cutmix(chance: float) -> Region:
    """One box of half the area for each frame, in a share `chance` of the steps (French et al.,
    2020).
    """

    def region(target: PseudoTarget) -> Tensor | None:
        if float(torch.rand(())) >= chance:
            return None
        batch, height, width = target.valid.shape
        return random_boxes(batch, height, width, target.images.device)

    return region


def classmix(chance: float) -> Region:
    """The pixels of half of the classes that the next frame shows (Olsson et al., 2021); a box
    below four classes.
    """
    fallback = cutmix(1.0)

    def region(target: PseudoTarget) -> Tensor | None:
        if float(torch.rand(())) >= chance:
            return None
        classes = target.probability.shape[1]
        if classes < 4:  # half of two classes is one: everything or nothing would be copied
            return fallback(target)
        label = target.label.roll(-1, 0)
        known = torch.arange(classes, device=label.device)
        present = (label.flatten(1)[:, None] == known[:, None]).any(2)  # (B, C)
        order = (
            torch.rand(present.shape, device=label.device)
            .masked_fill(~present, 2.0)
            .argsort(1)
            .argsort(1)
        )
        chosen = order < (present.sum(1, keepdim=True) // 2)
        chosen = torch.cat(
            [chosen, torch.zeros_like(chosen[:, :1])], 1
        )  # the padding's 255 is never pasted
        return chosen.gather(1, label.clamp(max=classes).flatten(1)).view_as(label)

    return region
