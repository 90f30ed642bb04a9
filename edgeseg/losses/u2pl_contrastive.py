"""U2PL's contrastive loss: anchors, prototypes, probability-rank negatives, InfoNCE (U2PL 3.3, eqs.
5 to 14).

Legend of the shapes: C classes, D features, P pixels, M anchors a class, N negatives a class, K
places in the bank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import all_gather, all_reduce_sum, world_size
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.precision import full_precision, to_float32


def ranks(probability: Tensor) -> Tensor:
    """Place of every class in its pixel's order, 0 = most likely.

    Args:
        probability: (P, C).

    Returns:
        (P, C) int64. One sort and one scatter: an argsort alone is the inverse of the ranking.
    """
    order = probability.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(probability.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)


def rank_bounds(classes: int, low: int, high: int) -> tuple[int, int]:
    """r_l and r_h clamped for few classes (methods.md 7.2): with r_l >= C no unlabelled negative
    would be left.
    """
    if classes == 2:
        return 2, 2  # an unreliable binary pixel says nothing about either class
    return min(low, max(2, classes // 2)), min(high, classes)


def anchor_mask(label: Tensor, probability: Tensor, trusted: Tensor, least: float) -> Tensor:
    """Pixels that may stand for their class: trusted, and more likely than delta_p to be it (eqs.
    6, 7).

    Args:
        label: (P,) int64, 255 = none.
        probability: (P, C) of the teacher.
        trusted: (P,) bool, labelled or reliable.

    Returns:
        (P, C) bool.
    """
    return one_hot(label, probability.shape[1]) & trusted[:, None] & (probability > least)


def negative_mask(
    label: Tensor, probability: Tensor, labelled: Tensor, unreliable: Tensor, low: int, high: int
) -> Tensor:
    """Pixels that are probably not of a class, yet hard to tell from it (eqs. 9 to 12).

    Args:
        label: (P,) int64, 255 = none.
        probability: (P, C) of the teacher.
        labelled: (P,) bool, true where `label` is ground truth.
        unreliable: (P,) bool, unlabelled pixels above the entropy threshold.

    Returns:
        (P, C) bool: labelled pixels of another class that rank it below `low`, and unreliable
        pixels that rank it from `low` to below `high`.
    """
    rank = ranks(probability)
    other = ~one_hot(label, probability.shape[1]) & (label != IGNORE)[:, None]
    from_labelled = labelled[:, None] & other & (rank < low)
    return from_labelled | (unreliable[:, None] & (rank >= low) & (rank < high))


def one_hot(label: Tensor, classes: int) -> Tensor:
    """(P,) int64 with 255 -> (P, C) bool; a row of a pixel without label is all false."""
    return label[:, None] == torch.arange(classes, device=label.device)


def prototypes(rep: Tensor, mask: Tensor) -> Tensor:
    """Mean representation of each class over all processes (eq. 8), normalized; (P, D), (P, C) ->
    (C, D).
    """
    rep = to_float32(rep)
    with full_precision(rep):
        sums = all_reduce_sum(mask.to(rep.dtype).T @ rep)
    return F.normalize(sums / all_reduce_sum(mask.sum(0)).clamp(min=1)[:, None], dim=1)


class NegativeBank(nn.Module):
    """A first-in-first-out store of normalized negatives for each class; part of the state, so
    resuming is exact.
    """

    store: Tensor
    pointer: Tensor
    size: Tensor

    def __init__(self, classes: int, length: int, rep_dim: int) -> None:
        super().__init__()
        self.register_buffer("store", torch.zeros(classes, length, rep_dim))
        self.register_buffer("pointer", torch.zeros(classes, dtype=torch.int64))
        self.register_buffer("size", torch.zeros(classes, dtype=torch.int64))

    @torch.no_grad()
    def push(self, rep: Tensor, mask: Tensor, most: int) -> None:
        """Keep up to `most` random pixels of each class out of those of all processes; (P, D), (P,
        C).

        Every process offers up to `most`; the same ones are then kept everywhere, so the banks stay
        equal. P has to be the same on all processes.
        """
        length = self.store.shape[1]
        most = min(most, length, mask.shape[0])
        order, index = (
            torch.rand_like(mask.T, dtype=torch.float32)
            .masked_fill_(~mask.T, -1.0)
            .topk(most, dim=1)
        )
        value = F.normalize(rep[index].to(self.store.dtype), dim=2)
        if world_size() > 1:
            order, chosen = all_gather(order).movedim(0, 1).flatten(1).topk(most, dim=1)
            value = all_gather(value).movedim(0, 1).flatten(1, 2)
            value = value.gather(1, chosen[..., None].expand(-1, -1, value.shape[2]))
        fresh = order >= 0  # (C, most): chosen pixels come first, the rest is padding
        place = (self.pointer[:, None] + torch.arange(most, device=value.device)) % length
        row = torch.arange(len(place), device=value.device)[:, None].expand_as(place)
        self.store[row, place] = torch.where(fresh[..., None], value, self.store[row, place])
        added = fresh.sum(1)
        self.pointer.copy_((self.pointer + added) % length)
        self.size.copy_((self.size + added).clamp(max=length))

    def draw(self, number: int) -> Tensor:
        """`number` random negatives of each class with replacement; (C, N, D), zeros where a class
        has none.
        """
        share = torch.rand(len(self.size), number, device=self.size.device)
        index = (share * self.size[:, None]).long()
        return self.store.gather(1, index[..., None].expand(-1, -1, self.store.shape[2]))


def info_nce(
    rep: Tensor,
    mask: Tensor,
    positive: Tensor,
    negative: Tensor,
    valid: Tensor,
    number: int,
    temperature: float,
) -> Tensor:
    """Mean over the valid classes of -log( e^pos / (e^pos + sum e^neg) ), cosines over tau (eq. 5).

    The negatives of a class are shared by its anchors: the same expectation as drawing for each, M
    times cheaper. Every process draws from its own anchors, and counts in a class by its share of
    all anchors of that class.

    Args:
        rep: (P, D) of the student, with gradient.
        mask: (P, C) bool from `anchor_mask`.
        positive: (C, D) normalized.
        negative: (C, N, D) normalized.
        valid: (C,) bool, classes that have anchors and negatives, here or on any process; none at
            all gives a differentiable 0.
        number: anchors drawn for each class with replacement.
    """
    weight = mask.T.float()
    empty = ~mask.any(0)
    index = torch.multinomial(
        weight.masked_fill(empty[:, None], 1.0), number, replacement=True
    )  # (C, M)
    with full_precision(rep):
        anchor = F.normalize(to_float32(rep)[index], dim=2)
        attract = torch.einsum("cmd,cd->cm", anchor, positive.to(anchor.dtype)) / temperature
        repel = torch.einsum("cmd,cnd->cmn", anchor, negative.to(anchor.dtype)) / temperature
    loss = F.softplus(repel.logsumexp(2) - attract).mean(
        1
    )  # the same as eq. 5, exact also where it is tiny
    here = mask.sum(0)
    everywhere, claims = all_reduce_sum(torch.stack([here, valid.to(here.dtype)]))
    share = (
        here / everywhere.clamp(min=1) * world_size()
    )  # data-parallel training averages over processes
    valid = claims > 0
    return torch.where(valid, share * loss, 0.0 * loss).sum() / valid.sum().clamp(min=1)
