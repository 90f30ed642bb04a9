"""U2PL's contrastive loss (Wang et al., CVPR 2022, section 3.3, eqs. 5 to 14).

In the paper's order: anchors A_c, class prototypes z_c+, negatives chosen by the rank O of a class
in a pixel's prediction, and the InfoNCE loss L_c. The memory bank Q_c that keeps the negatives is
in `losses/shared/memory_bank.py`; the training step calls all of it from
`methods/plugins/u2pl_contrast.py`. Legend: C classes, D features of the representation, P pixels, M
anchors a class, N negatives a class.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import all_reduce_sum, world_size
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.shared.precision import full_precision, to_float32


def class_ranks(probability: Tensor) -> Tensor:
    """Rank O of every class in its pixel's prediction, 0 for the most likely class.

    Example: the probabilities (0.1, 0.7, 0.2) have the ranks (2, 0, 1). An argsort gives (1, 2, 0),
    the inverse of that ranking, so its places are scattered back.

    Args:
        probability: (P, C).

    Returns:
        (P, C) int64.
    """
    descending = probability.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(probability.shape[1], device=descending.device).expand_as(descending)
    return torch.empty_like(descending).scatter_(1, descending, places)


def rank_bounds(classes: int, low_rank: int, high_rank: int) -> tuple[int, int]:
    """The rank thresholds r_l and r_h, clamped to what few classes allow.

    With r_l >= C no unlabelled negative would be left. Example: the paper's (3, 20) becomes (2, 4)
    for four classes and stays (3, 20) for 21.
    """
    if classes == 2:
        return 2, 2  # an unreliable binary pixel says nothing about either class
    return min(low_rank, max(2, classes // 2)), min(high_rank, classes)


def one_hot(label: Tensor, classes: int) -> Tensor:
    """(P,) int64 labels as (P, C) bool; the row of an ignored pixel (255) is all false."""
    return label[:, None] == torch.arange(classes, device=label.device)


def anchor_mask(
    label: Tensor, probability: Tensor, labelled_or_reliable: Tensor, delta_p: float
) -> Tensor:
    """Candidate anchors A_c: pixels of class c whose probability of c exceeds delta_p (eqs. 6, 7).

    Args:
        label: (P,) int64 ground truth of labelled and pseudo-label of reliable pixels, 255 = none.
        probability: (P, C) of the teacher.
        labelled_or_reliable: (P,) bool, labelled pixels and reliable unlabelled ones.
        delta_p: positive threshold.

    Returns:
        (P, C) bool.
    """
    of_class = one_hot(label, probability.shape[1])
    return of_class & labelled_or_reliable[:, None] & (probability > delta_p)


def prototypes(rep: Tensor, anchors: Tensor) -> Tensor:
    """Positives z_c+: the normalized mean representation of each class's anchors (eq. 8).

    Args:
        rep: (P, D) of the teacher.
        anchors: (P, C) bool from `anchor_mask`.

    Returns:
        (C, D), means over the anchors of all processes; zeros for a class without anchors.
    """
    rep = to_float32(rep)
    with full_precision(rep):
        sums = all_reduce_sum(anchors.to(rep.dtype).T @ rep)
    return F.normalize(sums / all_reduce_sum(anchors.sum(0)).clamp(min=1)[:, None], dim=1)


def negative_mask(
    label: Tensor,
    probability: Tensor,
    labelled: Tensor,
    unreliable: Tensor,
    low_rank: int,
    high_rank: int,
) -> Tensor:
    """Candidate negatives of class c: probably not c, yet hard to tell from it (eqs. 9 to 12).

    Example with six classes, r_l = 3 and r_h = 6: an unreliable pixel is a negative of the classes
    that it ranks 3, 4 and 5; a labelled pixel of those other classes that it ranks 0, 1 or 2.

    Args:
        label: (P,) int64, 255 = none.
        probability: (P, C) of the teacher.
        labelled: (P,) bool, true where `label` is ground truth.
        unreliable: (P,) bool, unlabelled pixels above the entropy threshold gamma_t.
        low_rank: r_l.
        high_rank: r_h.

    Returns:
        (P, C) bool.
    """
    rank = class_ranks(probability)
    # Labelled pixels: another class's, but class c is among the r_l likeliest.
    other_class = ~one_hot(label, probability.shape[1]) & (label != IGNORE)[:, None]
    labelled_negatives = labelled[:, None] & other_class & (rank < low_rank)
    # Unlabelled pixels: unreliable, and class c is neither likely nor absurd.
    unlabelled_negatives = unreliable[:, None] & (rank >= low_rank) & (rank < high_rank)
    return labelled_negatives | unlabelled_negatives


def info_nce(
    rep: Tensor,
    anchors: Tensor,
    positive: Tensor,
    negative: Tensor,
    valid_class: Tensor,
    anchors_per_class: int,
    temperature: float,
) -> Tensor:
    """The contrastive loss L_c (eq. 5), InfoNCE over cosines.

    L_c = -1 / (C M) sum_c sum_i ln( e^(<a, z_c+> / tau) / (e^(<a, z_c+> / tau) + sum_j e^(<a, n_j>
    / tau)) ) with C the valid classes, a the i-th anchor of class c and n_j its negatives.

    The N negatives of a class are shared by its M anchors: the same expectation as drawing for each
    anchor, M times cheaper. Every process draws from its own anchors, and counts in a class by its
    share of all anchors of that class.

    Args:
        rep: (P, D) of the student, with gradient.
        anchors: (P, C) bool from `anchor_mask`.
        positive: (C, D) from `prototypes`.
        negative: (C, N, D) from `MemoryBank.draw`.
        valid_class: (C,) bool, classes that have anchors and negatives, on this or any other
            process.
        anchors_per_class: M, drawn with replacement.
        temperature: tau.

    Returns:
        (), a differentiable 0 where no class is valid.
    """
    weight = anchors.T.float()
    without_anchor = ~anchors.any(0)
    # multinomial refuses rows of zeros: classes without anchors draw any pixel and count nothing.
    pixel = torch.multinomial(
        weight.masked_fill(without_anchor[:, None], 1.0), anchors_per_class, replacement=True
    )  # (C, M)
    with full_precision(rep):
        anchor = F.normalize(to_float32(rep)[pixel], dim=2)  # (C, M, D)
        to_positive = torch.einsum("cmd,cd->cm", anchor, positive.to(anchor.dtype)) / temperature
        to_negative = torch.einsum("cmd,cnd->cmn", anchor, negative.to(anchor.dtype)) / temperature
    # -ln(e^p / (e^p + sum e^n)) = softplus(logsumexp(n) - p), which is exact also where it is tiny.
    loss = F.softplus(to_negative.logsumexp(2) - to_positive).mean(1)  # (C,)

    own_anchors = anchors.sum(0)
    all_anchors, valid_processes = all_reduce_sum(
        torch.stack([own_anchors, valid_class.to(own_anchors.dtype)])
    )
    # Data-parallel training averages over processes, hence the factor of their number.
    share = own_anchors / all_anchors.clamp(min=1) * world_size()
    valid_class = valid_processes > 0
    return torch.where(valid_class, share * loss, 0.0 * loss).sum() / valid_class.sum().clamp(min=1)
