"""How far a prediction lies from a target or from another prediction, pixel by pixel.

Maps, not means: the method decides which pixels count and divides with `losses.world.ratio`.
Legend: B batch, C classes, H W pixels. Targets are not detached here, so that both sides may learn
where a method wants that.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.precision import to_float32


def squared_error(logits: Tensor, target_probability: Tensor) -> Tensor:
    """Mean over the classes of (softmax(z) - p)^2 (Mean Teacher, CutMix-Seg, CCT, GCT).

    Args:
        logits: (B, C, H, W).
        target_probability: (B, C, H, W).

    Returns:
        (B, H, W).
    """
    return (to_float32(logits).softmax(1) - to_float32(target_probability)).square().mean(1)


def divergence_map(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """KL(p || q) of two predictions in nats.

    Args:
        logits_p, logits_q: (B, C, H, W).

    Returns:
        (B, H, W).
    """
    p, q = to_float32(logits_p).log_softmax(1), to_float32(logits_q).log_softmax(1)
    return (p.exp() * (p - q)).sum(1)


def soft_cross_entropy(logits: Tensor, probability: Tensor) -> Tensor:
    """-sum_c p_c ln softmax(z)_c, against a target that spreads over classes (PseudoSeg, Noisy
    Student).

    Args:
        logits: (B, C, H, W).
        probability: (B, C, H, W), the target.

    Returns:
        (B, H, W).
    """
    return -(to_float32(probability) * to_float32(logits).log_softmax(1)).sum(1)


def symmetric_cross_entropy(logits: Tensor, label: Tensor, scale: float = 1.0) -> Tensor:
    """DSBN's self-correction (Yuan et al., ICCV 2021): the surer the network is, the more it obeys
    the label.

    w CE(y, q) + (1 - w) scale CE(q, y), with q = softmax(z) and w = max q as a constant. The
    reverse cross-entropy CE(q, y), where ln 0 is taken to be -1, is the probability 1 - q_y that
    does not lie on the label: bounded, so that a wrong label pulls a doubtful pixel only so hard
    (symmetric cross-entropy, Wang et al., ICCV 2019).

    Args:
        logits: (B, C, H, W).
        label: (B, H, W) int64, 255 = ignore.
        scale: minus the value that ln 0 stands for.

    Returns:
        (B, H, W), 0 where the label is 255.
    """
    logits = to_float32(logits)
    known = label != IGNORE
    place = label.masked_fill(~known, 0)
    forward = F.cross_entropy(logits, place, reduction="none")
    probability = logits.softmax(1)
    obey = probability.detach().amax(1)
    reverse = 1 - probability.gather(1, place[:, None])[:, 0]
    loss = obey * forward + (1 - obey) * scale * reverse
    return loss * known


@torch.no_grad()
def disagreement_weight(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """exp(-KL(p || q)), 1 where two heads agree (UCC's uncertainty-guided re-weighting); carries no
    gradient.

    Args:
        logits_p, logits_q: (B, C, H, W).

    Returns:
        (B, H, W), 0..1.
    """
    return torch.exp(-divergence_map(logits_p, logits_q)).clamp(max=1.0)
