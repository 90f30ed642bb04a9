"""Consistency losses: the distance of a prediction from a target or another prediction, by pixel.

They return maps, not means: the method decides which pixels count and divides with
`distributed_mean`. Targets are not detached here, so that both sides may learn where a method wants
that. Legend: B batch, C classes, H W pixels, z logits, p and q probabilities.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.shared.precision import to_float32

# Of the self-correction loss: confidence above which a pixel is sure, and what -ln 0 stands for.
SURE, MINUS_LOG_ZERO = 0.8, -math.log(1e-4)


def squared_error(logits: Tensor, target_probability: Tensor) -> Tensor:
    """Mean over the classes of (softmax(z) - p)^2 (Mean Teacher, CutMix-Seg, CCT, GCT).

    Args:
        logits: (B, C, H, W), z.
        target_probability: (B, C, H, W), p.

    Returns:
        (B, H, W).
    """
    return (to_float32(logits).softmax(1) - to_float32(target_probability)).square().mean(1)


def kl_divergence(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """KL(p || q) of two predictions in nats.

    Args:
        logits_p, logits_q: (B, C, H, W).

    Returns:
        (B, H, W).
    """
    log_p, log_q = to_float32(logits_p).log_softmax(1), to_float32(logits_q).log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum(1)


def soft_cross_entropy(logits: Tensor, target_probability: Tensor) -> Tensor:
    """-sum_c p_c ln softmax(z)_c, against a target that spreads over classes.

    PseudoSeg, PC2Seg and Noisy Student use it.

    Args:
        logits: (B, C, H, W), z.
        target_probability: (B, C, H, W), p.

    Returns:
        (B, H, W).
    """
    return -(to_float32(target_probability) * to_float32(logits).log_softmax(1)).sum(1)


def self_correction_loss(logits: Tensor, label: Tensor) -> Tensor:
    """DSBN's self-correction loss (Yuan et al., ICCV 2021).

    (1 - w) CE(y, q) + w CE(q, y), with q = softmax(z) and w = max q as a constant, 1 above 0.8. The
    reverse cross-entropy CE(q, y), where ln 0 is taken to be ln 1e-4, is 9.21 times the probability
    1 - q_y that does not lie on the label (symmetric cross-entropy, Wang et al., ICCV 2019). A
    doubtful pixel learns its label by the cross-entropy. A sure one that disagrees hardly follows:
    the gradient of 1 - q_y is q_y (1 - q_y), 0 at both ends.

    The weights, 0.8 and 1e-4 are those of the official code (`DynamicCEAndSCELoss` in
    solver/loss.py of jianlong-yuan/SimpleBaseline) on one frame; in a batch it multiplies each
    frame's losses by the weights of all.

    Args:
        logits: (B, C, H, W), z.
        label: (B, H, W) int64, y, 255 = ignore.

    Returns:
        (B, H, W), 0 where the label is 255.
    """
    logits = to_float32(logits)
    labelled = label != IGNORE
    class_id = label.masked_fill(~labelled, 0)
    cross_entropy = F.cross_entropy(logits, class_id, reduction="none")
    probability = logits.softmax(1)
    confidence = probability.detach().amax(1)
    weight = torch.where(confidence > SURE, 1.0, confidence)
    reverse_cross_entropy = MINUS_LOG_ZERO * (1 - probability.gather(1, class_id[:, None])[:, 0])
    return ((1 - weight) * cross_entropy + weight * reverse_cross_entropy) * labelled


@torch.no_grad()
def agreement_weight(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """exp(-KL(p || q)), 1 where two heads agree (UCC's uncertainty-guided re-weighting).

    Args:
        logits_p, logits_q: (B, C, H, W).

    Returns:
        (B, H, W), 0..1; carries no gradient.
    """
    return torch.exp(-kl_divergence(logits_p, logits_q)).clamp(max=1.0)
