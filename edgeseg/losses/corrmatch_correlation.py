"""Label propagation by correlation of features, after CorrMatch's description (Sun et al., CVPR
2024).

Written from methods.md 3.4 alone. Legend: B batch, C classes, D features, S sampled places, P = h w
places.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import all_gather
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.precision import full_precision, to_float32

SHARE = 0.5  # of a row's range: what lies above belongs to the region


def propagate(features: Tensor, logits: Tensor) -> Tensor:
    """Logits averaged over all places by likeness, softmax(f^T f / sqrt D): what a place hears from
    those alike.

    Args:
        features: (B, D, h, w).
        logits: (B, C, h, w).

    Returns:
        (B, C, h, w) float32, with gradients to both.
    """
    with full_precision(features):
        place = to_float32(features).flatten(2).transpose(1, 2)
        said = to_float32(logits).flatten(2).transpose(1, 2)
        heard = F.scaled_dot_product_attention(place, place, said.to(place.dtype))
        return heard.transpose(1, 2).reshape(logits.shape)


class AdaptiveThreshold(nn.Module):
    """A threshold that follows how confident the network gets: the mean over classes of their
    largest confidence.

    Attributes:
        value: () float32.
    """

    value: Tensor

    def __init__(self, start: float = 0.85, keep: float = 0.999) -> None:
        super().__init__()
        self.keep = keep
        self.register_buffer("value", torch.tensor(start))

    @torch.no_grad()
    def update(self, confidence: Tensor, label: Tensor, valid: Tensor) -> None:
        """Take in the unlabelled pixels of all processes; nothing valid leaves the threshold as it
        is.

        Args:
            confidence: (B, H, W) 0..1.
            label: (B, H, W) int64 pseudo-labels.
            valid: (B, H, W) bool.
        """
        valid = valid & (label != IGNORE)
        place = label.masked_fill(~valid, IGNORE).flatten()
        seen = confidence.float().masked_fill(~valid, -1.0).flatten()
        largest = torch.full((IGNORE + 1,), -1.0, device=label.device).scatter_reduce_(
            0, place, seen, "amax"
        )
        largest = all_gather(largest).amax(0)
        present = largest >= 0
        mean = (largest * present).sum() / present.sum().clamp(min=1)
        self.value.copy_(
            torch.where(present.any(), torch.lerp(mean, self.value, self.keep), self.value)
        )


@torch.no_grad()
def grow(
    features: Tensor,
    label: Tensor,
    confidence: Tensor,
    valid: Tensor,
    threshold: Tensor | float,
    samples: int,
    *,
    classes: int = IGNORE,
) -> tuple[Tensor, Tensor]:
    """Let regions of alike places take the label that most of their confident pixels agree on.

    A region holds the places whose correlation with a sampled one lies above half of the row's
    range. Where more than `threshold` of its valid places are confident, and more than that share
    of these agree, all of it takes the label. Regions work at the features' resolution; where
    accepted ones overlap, the label that most of them give wins.

    Args:
        features: (B, D, h, w).
        label: (B, H, W) int64 pseudo-labels.
        confidence: (B, H, W) 0..1.
        valid: (B, H, W) bool.
        threshold: confident means above it; () or a number.
        samples: S, rows drawn from each frame.
        classes: one above the largest label; give it, since the cost grows with it.

    Returns:
        (B, H, W) int64 labels, and (B, H, W) bool where they are a region's.
    """
    size = (features.shape[2], features.shape[3])
    near, near_valid = _shrink(label, size), _shrink(valid.to(label.dtype), size) > 0  # (B, P)
    near_valid = near_valid & (near != IGNORE)
    sure = near_valid & (_shrink(confidence, size) > threshold)
    with full_precision(features):
        region, drawn = _regions(
            to_float32(features).flatten(2), near_valid, samples
        )  # (B, S, P), (B, S)
        region = region & near_valid[:, None]
        votes = F.one_hot(near.masked_fill(~sure, 0), classes) * sure[..., None]
        agreeing, winner = (region.float() @ votes.float()).max(2)
        confident = (region & sure[:, None]).sum(2)
        accepted = (
            drawn & (confident > threshold * region.sum(2)) & (agreeing > threshold * confident)
        )
        offers = F.one_hot(winner, classes) * accepted[..., None]
        most, taken = (region.float().transpose(1, 2) @ offers.float()).max(2)
    taken = taken.masked_fill(most == 0, IGNORE).view(-1, *size)
    grown = F.interpolate(taken[:, None].float(), size=label.shape[1:], mode="nearest-exact")[
        :, 0
    ].to(label.dtype)
    reached = (grown != IGNORE) & valid
    return torch.where(reached, grown, label), reached


def _regions(places: Tensor, valid: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Regions (B, S, P) bool around random valid places of (B, D, P) features, and which of them
    exist (B, S).
    """
    chance = torch.rand(valid.shape, device=valid.device).masked_fill(~valid, -1.0)
    order, index = chance.topk(min(samples, chance.shape[1]), dim=1)
    chosen = places.gather(2, index[:, None].expand(-1, places.shape[1], -1))
    row = (chosen.transpose(1, 2) @ places / math.sqrt(places.shape[1])).softmax(2)
    low, high = row.amin(2, keepdim=True), row.amax(2, keepdim=True)
    return row > low + SHARE * (high - low), order >= 0


def _shrink(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) -> (B, P), nearest."""
    return (
        F.interpolate(maps[:, None].float(), size=size, mode="nearest-exact")[:, 0]
        .flatten(1)
        .to(maps.dtype)
    )
