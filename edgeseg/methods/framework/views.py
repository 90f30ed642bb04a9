"""Views of unlabelled frames, and the targets of their pixels, which move along with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.data.augment import cutout, strong_augment
from edgeseg.data.cutmix import mix_boxes
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.entropy import entropy
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.method import Batch


@dataclass(frozen=True)
class PseudoTarget:
    """Frames with the predicted class probabilities of each of their pixels.

    Attributes:
        images: (B, 3, H, W) 0..1.
        probability: (B, C, H, W) float32; a pixel that is known for certain has a 1.
        valid: (B, H, W) bool, false in the padding.
        peers: predictions of other networks, each as `probability`, moved along with it.
    """

    images: Tensor
    probability: Tensor
    valid: Tensor
    peers: tuple[Tensor, ...] = ()

    @cached_property
    def _top_class(self) -> tuple[Tensor, Tensor]:
        confidence, label = self.probability.max(1)
        return confidence, label.masked_fill(~self.valid, IGNORE)

    @property
    def confidence(self) -> Tensor:
        """(B, H, W) probability of the most likely class."""
        return self._top_class[0]

    @property
    def label(self) -> Tensor:
        """(B, H, W) int64, the most likely class, 255 in the padding."""
        return self._top_class[1]

    @cached_property
    def entropy(self) -> Tensor:
        """(B, H, W) entropy in units of ln C, 0..1."""
        return entropy(self.probability)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.valid.shape[1], self.valid.shape[2]


def pseudo_target(batch: Batch, logits: Tensor) -> PseudoTarget:
    """The frames of `batch` with the softmax of (B, C, h, w) logits, without gradient.

    Pixels that are labelled are known for certain.
    """
    probability = upsample(logits.detach(), batch.size).softmax(1)
    known = (batch.masks != IGNORE)[:, None]
    certain = certain_probability(batch.masks, probability.shape[1], probability.dtype)
    return PseudoTarget(batch.images, torch.where(known, certain, probability), batch.valid)


def peer_target(target: PseudoTarget, index: int = 0) -> PseudoTarget:
    """The same view with the prediction of a peer as its target."""
    return PseudoTarget(target.images, target.peers[index], target.valid)


def certain_probability(label: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Labels (B, H, W) as one-hot probabilities (B, C, H, W); ids beyond the classes count last."""
    return F.one_hot(label.clamp(max=classes - 1), classes).movedim(-1, 1).to(dtype)


def recolor(target: PseudoTarget) -> PseudoTarget:
    """Strong colors; the targets stay."""
    return replace(target, images=strong_augment(target.images))


def cut_out(target: PseudoTarget) -> PseudoTarget:
    """CutOut in half of the frames: a box becomes noise, and its pixels are no longer valid."""
    images, label = cutout(target.images, target.label)
    return replace(target, images=images, valid=label != IGNORE)


def mix_frames(
    target: PseudoTarget, region: Tensor | None, partner: Tensor | None = None
) -> PseudoTarget:
    """Inside the region (B, H, W) take image and target of the next frame, or of `partner` (B,)."""
    if region is None:
        return target
    parts = (target.images, target.probability, target.valid)
    images, probability, valid = (mix_boxes(part, region, partner) for part in parts)
    peers = tuple(mix_boxes(peer, region, partner) for peer in target.peers)
    return PseudoTarget(images, probability, valid, peers)


def insert_labelled(
    target: PseudoTarget, labelled: Batch, donor: Tensor, region: Tensor
) -> PseudoTarget:
    """Inside the region (B, H, W) take image and ground truth of labelled frames.

    Args:
        donor: (B,) int64, index of the labelled frame that each frame takes from.
    """
    classes = target.probability.shape[1]
    truth = labelled.masks[donor]
    certain = certain_probability(truth, classes, target.probability.dtype)
    inside = region[:, None]
    return PseudoTarget(
        torch.where(inside, labelled.images[donor], target.images),
        torch.where(inside, certain, target.probability),
        torch.where(region, labelled.valid[donor] & (truth < classes), target.valid),
        tuple(torch.where(inside, certain, peer) for peer in target.peers),
    )
