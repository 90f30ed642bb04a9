"""The formulas of the losses written out, with loops over classes, samples or pixels: slow, and
plain to check by eye.

Tests compare `edgeseg.losses` with them, `benchmarks/losses.py` times both. Nothing here is used in
training. Shapes as in the losses: B batch, C classes, H W pixels, P places, D features, N
negatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IGNORE = 255


def softmax(values: Tensor) -> Tensor:
    """(C,) -> (C,)."""
    powers = (values - values.max().detach()).exp()
    return powers / powers.sum()


def entropy(probability: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W), in units of ln C."""
    classes = probability.shape[1]

    def one(p: Tensor) -> Tensor:
        total = p.new_zeros(())
        for c in range(classes):
            if p[c] > 0:
                total = total - p[c] * p[c].log()
        return total / math.log(classes)

    return each_pixel(one, probability)


def threshold(values: Tensor, valid: Tensor, share: float) -> float:
    """The value above which `share` of the valid entries lie: an exact percentile on the host."""
    return float(np.percentile(values[valid].cpu().numpy(), 100 * (1 - share)))


def ranks(probability: Tensor) -> Tensor:
    """(P, C) -> (P, C): the number of classes that are more likely, class by class."""
    columns = []
    for c in range(probability.shape[1]):
        order = probability.argsort(dim=1, descending=True, stable=True)
        columns.append((order == c).int().argmax(dim=1))
    return torch.stack(columns, 1)


def cross_entropy(logits: Tensor, target: Tensor, class_weight: Tensor | None = None) -> Tensor:
    """Mean over the pixels that are not 255; the weight of a class scales its pixels."""
    total, count = 0 * logits.sum(), 0
    for z, y in _pixels(logits, target):
        if y == IGNORE:
            continue
        weight = 1.0 if class_weight is None else class_weight[int(y)]
        total, count = total - weight * softmax(z)[int(y)].log(), count + 1
    return total / max(count, 1)


def fuzzy_positives(probability: Tensor, mass: float, most: int) -> Tensor:
    """n = the fewest classes that hold the mass, K = clamp(n - 1, 1, min(most, C - 1)), the K most
    likely are in.
    """
    classes = probability.shape[1]
    value, order = probability.sort(dim=1, descending=True, stable=True)
    fewest = (value.cumsum(1) < mass).sum(1) + 1
    number = (fewest - 1).clamp(1, min(most, classes - 1))
    positives = torch.zeros_like(probability, dtype=torch.bool)
    for place in range(classes):
        for c in range(classes):
            positives[:, c] |= (order[:, place] == c) & (place < number)
    return positives


def fuzzy_loss(logits: Tensor, positives: Tensor) -> Tensor:
    """ln(1 + sum_{i in Y} e^-z_i sum_{j not in Y} e^z_j), pair by pair."""
    total = torch.ones_like(logits[:, 0])
    for i in range(logits.shape[1]):
        for j in range(logits.shape[1]):
            pair = positives[:, i] & ~positives[:, j]
            total = total + torch.where(pair, (logits[:, j] - logits[:, i]).exp(), 0.0)
    return total.log()


def fuzzy_weight(probability: Tensor, positives: Tensor, mode: str) -> Tensor:
    """From m, the mean of the K + 1 most likely classes, and p, the last of them."""

    def one(p: Tensor, inside: Tensor) -> Tensor:
        number = int(inside.sum()) + 1
        top = sorted(p.tolist(), reverse=True)[:number]
        m, last = sum(top) / number, top[-1]
        value = {
            "none": 1.0,
            "linear": (m - last) / m,
            "convex": (m - last) / (m + 4 * last),
            "concave": math.log(1 + 50 * (m - last)) / math.log(1 + 50 * m),
        }[mode]
        return p.new_tensor(value)

    return each_pixel(one, probability, positives)


class ConfidenceBank:
    """AEL's running confidence with a loop over classes and a copy to the host for each."""

    def __init__(self, classes: int, keep: float = 0.999) -> None:
        self.value, self.seen, self.keep = [0.5] * classes, [0] * classes, keep

    def update(self, probability: Tensor, label: Tensor) -> None:
        """probability (B, C, H, W), label (B, H, W) with 255."""
        for c in range(len(self.value)):
            mine = label == c
            if not bool(mine.any()):
                continue
            mean = float(probability[:, c][mine].double().mean())
            keep = min(1 - 1 / (self.seen[c] + 1), self.keep)
            self.value[c] = keep * self.value[c] + (1 - keep) * mean
            self.seen[c] += 1


def class_chances(value: list[float], power: float) -> list[float]:
    """softmax((1 - g)^power)."""
    powers = [math.exp((1 - g) ** power) for g in value]
    return [one / sum(powers) for one in powers]


def keep_chances(value: list[float], power: float = 1.0, least: float = 0.05) -> list[float]:
    """((1 - g) / max(1 - g))^power, at least `least`."""
    worst = max(1 - g for g in value)
    return [max(least, ((1 - g) / worst) ** power) for g in value]


def squared_error(logits: Tensor, target: Tensor) -> Tensor:
    """1 / C sum_c (q_c - p_c)^2."""
    return each_pixel(
        lambda z, p: sum((softmax(z)[c] - p[c]) ** 2 for c in range(len(z))) / len(z),
        logits,
        target,
    )


def divergence(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """sum_c p_c ln(p_c / q_c)."""

    def one(first: Tensor, second: Tensor) -> Tensor:
        p, q = softmax(first), softmax(second)
        total = p.new_zeros(())
        for c in range(len(p)):
            total = total + p[c] * (p[c] / q[c]).log()
        return total

    return each_pixel(one, logits_p, logits_q)


def soft_cross_entropy(logits: Tensor, probability: Tensor) -> Tensor:
    """-sum_c p_c ln q_c."""
    return each_pixel(
        lambda z, p: -sum(p[c] * softmax(z)[c].log() for c in range(len(z))), logits, probability
    )


def symmetric_cross_entropy(logits: Tensor, label: Tensor, scale: float) -> Tensor:
    """w CE(y, q) + (1 - w) CE(q, y) with ln 0 = -scale and w = max q held constant."""

    def one(z: Tensor, y: Tensor) -> Tensor:
        if y == IGNORE:
            return 0 * z.sum()
        q = softmax(z)
        obey = float(q.detach().max())
        reverse = sum(q[c] * scale for c in range(len(z)) if c != int(y))
        return -obey * q[int(y)].log() + (1 - obey) * reverse

    return each_pixel(one, logits, label)


def directional_contrast(
    one: Tensor,
    other: Tensor,
    confidence_one: Tensor,
    confidence_other: Tensor,
    label_one: Tensor,
    label_other: Tensor,
    valid: Tensor,
    negatives: Tensor,
    negative_labels: Tensor,
    least: float,
    temperature: float,
) -> Tensor:
    """Place by place, direction by direction, negative by negative."""
    whole = 0 * (one.sum() + other.sum())
    sides = [
        (one, other, confidence_one, confidence_other, label_one),
        (other, one, confidence_other, confidence_one, label_other),
    ]
    for anchors, goals, own, theirs, label in sides:
        total, count = 0 * anchors.sum(), 0
        for i in range(len(anchors)):
            if not valid[i] or theirs[i] <= own[i] or theirs[i] <= least or label[i] == IGNORE:
                continue
            attract = (cosine(anchors[i], goals[i].detach()) / temperature).exp()
            repel = 0 * attract
            for n, name in zip(negatives, negative_labels, strict=True):
                if name not in (label[i], IGNORE):
                    repel = repel + (cosine(anchors[i], n.detach()) / temperature).exp()
            total, count = total - (attract / (attract + repel)).log(), count + 1
        whole = whole + total / max(count, 1)
    return whole


def info_nce(
    rep: Tensor, index: list[list[int]], positive: Tensor, negative: Tensor, temperature: float
) -> Tensor:
    """Eq. 5 of U2PL; `index` lists the anchors of each class, and a class without any is left out."""
    total, present = 0 * rep.sum(), 0
    for c, places in enumerate(index):
        if not places:
            continue
        present += 1
        mean = 0 * rep.sum()
        for i in places:
            attract = (cosine(rep[i], positive[c]) / temperature).exp()
            repel = 0 * attract
            for n in negative[c]:
                repel = repel + (cosine(rep[i], n) / temperature).exp()
            mean = mean - (attract / (attract + repel)).log() / len(places)
        total = total + mean
    return total / max(present, 1)


class Queues:
    """U2PL's memory as a list of tensors: new entries are appended, the oldest sliced off."""

    def __init__(self, classes: int, length: int, width: int) -> None:
        self.rows, self.length = [torch.zeros(0, width)] * classes, length

    def push(self, rep: Tensor, mask: Tensor, most: int) -> None:
        """Up to `most` random pixels of each class; (P, D), (P, C)."""
        for c in range(len(self.rows)):
            places = mask[:, c].nonzero()[:, 0]
            places = places[torch.randperm(len(places), device=places.device)[:most]]
            fresh = torch.nn.functional.normalize(rep[places].float(), dim=1)
            self.rows[c] = torch.cat([self.rows[c].to(fresh.device), fresh])[-self.length :]


def contrast(
    rep: Tensor,
    theirs: Tensor,
    probability: Tensor,
    label: Tensor,
    trusted: Tensor,
    labelled: Tensor,
    unreliable: Tensor,
    queues: Queues,
    low: int,
    high: int,
    least: float,
    anchors: int,
    negatives: int,
    temperature: float,
    fresh: int,
) -> Tensor:
    """U2PL's contrastive loss class by class, as 3.3 tells it: own negatives for each anchor, no
    shortcut.

    rep, theirs: (P, D); probability: (P, C); label: (P,); trusted, labelled, unreliable: (P,) bool.
    """
    rank, classes = ranks(probability), probability.shape[1]
    masks, chosen, goals = [], [], []
    for c in range(classes):
        anchor = (label == c) & trusted & (probability[:, c] > least)
        mistaken = labelled & (label != c) & (label != IGNORE) & (rank[:, c] < low)
        doubtful = unreliable & (rank[:, c] >= low) & (rank[:, c] < high)
        masks.append(mistaken | doubtful)
        places = anchor.nonzero()[:, 0]
        chosen.append(places)
        goals.append(theirs[places].mean(0) if len(places) else theirs.new_zeros(theirs.shape[1]))
    queues.push(theirs, torch.stack(masks, 1), fresh)
    total, present = 0 * rep.sum(), 0
    for c in range(classes):
        rows = queues.rows[c]
        if not len(chosen[c]) or not len(rows):
            continue
        present += 1
        anchor = rep[chosen[c][torch.randint(len(chosen[c]), (anchors,), device=rep.device)]]
        negative = rows[torch.randint(len(rows), (anchors * negatives,), device=rows.device)]
        others = torch.cat(
            [goals[c].expand(anchors, 1, -1), negative.view(anchors, negatives, -1)], 1
        )
        likeness = (
            torch.nn.functional.cosine_similarity(anchor[:, None], others, dim=2) / temperature
        )
        total = total + torch.nn.functional.cross_entropy(
            likeness, torch.zeros(anchors, dtype=torch.int64, device=rep.device)
        )
    return total / max(present, 1)


def equalized(label: Tensor, chances: list[float]) -> Tensor:
    """AEL's sampling: pixels (B, H, W) bool that stay, class by class."""
    kept = torch.zeros_like(label, dtype=torch.bool)
    for c, chance in enumerate(chances):
        kept |= (label == c) & (torch.rand(label.shape, device=label.device) < chance)
    return kept


def stability(masks: list[NDArray[np.uint8]], classes: int) -> float:
    """sum_{j < K} mIoU(M_j, M_K), classes in neither left out."""
    total = 0.0
    for mask in masks[:-1]:
        shares = []
        for c in range(classes):
            both, either = (
                ((mask == c) & (masks[-1] == c)).sum(),
                ((mask == c) | (masks[-1] == c)).sum(),
            )
            if either:
                shares.append(float(both) / float(either))
        total += sum(shares) / len(shares)
    return total


def propagate(features: Tensor, logits: Tensor) -> Tensor:
    """sum_j softmax_j(f_i f_j / sqrt D) z_j for every place i."""
    batch, width, height, across = features.shape
    f, z = features.flatten(2), logits.flatten(2)
    frames = []
    for b in range(batch):
        columns = []
        for i in range(height * across):
            like = softmax(
                torch.stack(
                    [f[b, :, i] @ f[b, :, j] / math.sqrt(width) for j in range(height * across)]
                )
            )
            columns.append(
                sum((like[j] * z[b, :, j] for j in range(height * across)), start=0 * z[b, :, 0])
            )
        frames.append(torch.stack(columns, 1).view(-1, height, across))
    return torch.stack(frames)


def mutual_weight(
    probability: Tensor, label: Tensor, confidence: Tensor, gamma1: float, gamma2: float
) -> Tensor:
    """p_c^g1 where both agree, 0 where they do not and the trained one is surer, else p_c^g2."""

    def one(p: Tensor, y: Tensor, sure: Tensor) -> Tensor:
        if y == IGNORE:
            return p.new_zeros(())
        chance = p[int(y)]
        if int(p.argmax()) == int(y):
            return chance**gamma1
        return p.new_zeros(()) if p.max() > sure else chance**gamma2

    return each_pixel(one, probability, label, confidence)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Means of -ln s(real) and -ln(1 - s(fake))."""
    seen = sum(-(1 / (1 + (-one).exp())).log() for one in real.flatten()) / real.numel()
    made = sum(-(1 - 1 / (1 + (-one).exp())).log() for one in fake.flatten()) / fake.numel()
    return torch.as_tensor(seen + made)


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """Of two (D,)."""
    return (one * other).sum() / ((one * one).sum().sqrt() * (other * other).sum().sqrt())


def each_pixel(function: Callable[..., Tensor], *maps: Tensor) -> Tensor:
    """(B, H, W) of `function` applied to every pixel's values: a vector of (B, C, H, W) maps, a
    number of others.
    """
    batch, height, width = maps[0].shape[0], maps[0].shape[-2], maps[0].shape[-1]
    values = [torch.as_tensor(function(*pixel)) for pixel in _pixels(*maps)]
    return torch.stack(values).view(batch, height, width)


def _pixels(*maps: Tensor) -> Iterator[tuple[Tensor, ...]]:
    for b, y, x in np.ndindex(maps[0].shape[0], *maps[0].shape[-2:]):
        yield tuple(m[b, ..., y, x] for m in maps)
