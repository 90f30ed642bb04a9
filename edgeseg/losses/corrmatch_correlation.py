"""Label propagation by the correlation of features (CorrMatch, Sun et al., CVPR 2024).

Written from a description of the method, not from its code. Legend: B batch, C classes, D features,
S sampled places, P = h w places of the feature maps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import all_gather
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.shared.precision import full_precision, to_float32
from edgeseg.losses.shared.resize import resize_nearest

REGION_CUT = 0.5  # share of a correlation row's range above which a place belongs to the region


def propagate_logits(features: Tensor, logits: Tensor) -> Tensor:
    """Average the logits over all places by the correlation of features, softmax(f^T f / sqrt D).

    Args:
        features: (B, D, h, w).
        logits: (B, C, h, w).

    Returns:
        (B, C, h, w) float32, with gradients to both.
    """
    with full_precision(features):
        places = to_float32(features).flatten(2).transpose(1, 2)  # (B, P, D)
        values = to_float32(logits).flatten(2).transpose(1, 2)  # (B, P, C)
        # Attention whose queries and keys are both the features.
        propagated = F.scaled_dot_product_attention(places, places, values.to(places.dtype))
        return propagated.transpose(1, 2).reshape(logits.shape)


class AdaptiveThreshold(nn.Module):
    """A confidence threshold that follows the network: the mean of the classes' largest confidence.

    Attributes:
        value: () float32, the running mean over steps.
    """

    value: Tensor

    def __init__(self, start: float = 0.85, momentum: float = 0.999) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.tensor(start))

    @torch.no_grad()
    def update(self, confidence: Tensor, label: Tensor, valid: Tensor) -> None:
        """Move the threshold by the unlabelled pixels of all processes, if any are valid.

        Args:
            confidence: (B, H, W) 0..1.
            label: (B, H, W) int64 pseudo-labels.
            valid: (B, H, W) bool.
        """
        valid = valid & (label != IGNORE)
        class_id = label.masked_fill(~valid, IGNORE).flatten()
        valid_confidence = confidence.float().masked_fill(~valid, -1.0).flatten()
        largest = torch.full((IGNORE + 1,), -1.0, device=label.device).scatter_reduce_(
            0, class_id, valid_confidence, "amax"
        )
        largest = all_gather(largest).amax(0)
        present = largest >= 0
        mean = (largest * present).sum() / present.sum().clamp(min=1)
        updated = torch.lerp(mean, self.value, self.momentum)
        self.value.copy_(torch.where(present.any(), updated, self.value))


@torch.no_grad()
def propagate_labels(
    features: Tensor,
    label: Tensor,
    confidence: Tensor,
    valid: Tensor,
    threshold: Tensor | float,
    samples: int,
    *,
    classes: int = IGNORE,
) -> tuple[Tensor, Tensor]:
    """Let regions of correlated places take the label that most of their confident pixels have.

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
    small_label = resize_nearest(label, size).flatten(1)  # (B, P), as the other small maps
    small_valid = resize_nearest(valid.to(label.dtype), size).flatten(1) > 0
    small_valid = small_valid & (small_label != IGNORE)
    confident = small_valid & (resize_nearest(confidence, size).flatten(1) > threshold)
    with full_precision(features):
        region, exists = _regions(to_float32(features).flatten(2), small_valid, samples)
        region = region & small_valid[:, None]  # (B, S, P)
        votes = F.one_hot(small_label.masked_fill(~confident, 0), classes) * confident[..., None]
        agreeing, winner = (region.float() @ votes.float()).max(2)  # (B, S)
        confident_places = (region & confident[:, None]).sum(2)
        accepted = (
            exists
            & (confident_places > threshold * region.sum(2))
            & (agreeing > threshold * confident_places)
        )
        # Each place counts the accepted regions that it lies in, by their label.
        region_votes = F.one_hot(winner, classes) * accepted[..., None]  # (B, S, C)
        most_votes, propagated = (region.float().transpose(1, 2) @ region_votes.float()).max(2)
    propagated = propagated.masked_fill(most_votes == 0, IGNORE).view(-1, *size)
    full_size = resize_nearest(propagated, (label.shape[1], label.shape[2]))
    changed = (full_size != IGNORE) & valid
    return torch.where(changed, full_size, label), changed


def _regions(places: Tensor, valid: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Regions (B, S, P) bool around random valid places of (B, D, P) features, valid (B, P).

    The second result, (B, S) bool, is false for rows that found no valid place.
    """
    lottery = torch.rand(valid.shape, device=valid.device).masked_fill(~valid, -1.0)
    lot, index = lottery.topk(min(samples, lottery.shape[1]), dim=1)
    sampled = places.gather(2, index[:, None].expand(-1, places.shape[1], -1))  # (B, D, S)
    correlation = (sampled.transpose(1, 2) @ places / math.sqrt(places.shape[1])).softmax(2)
    low, high = correlation.amin(2, keepdim=True), correlation.amax(2, keepdim=True)
    return correlation > low + REGION_CUT * (high - low), lot >= 0
