"""The formulas of the losses written out with loops over classes, samples or pixels.

They are slow, and plain to check by eye.

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

from edgeseg.imaging.array_types import IGNORE


def softmax(values: Tensor) -> Tensor:
    """Softmax of (C,) values."""
    powers = (values - values.max().detach()).exp()
    return powers / powers.sum()


def entropy(probability: Tensor) -> Tensor:
    """Entropy (B, H, W) of (B, C, H, W) probabilities in units of ln C."""
    classes = probability.shape[1]

    def of_pixel(p: Tensor) -> Tensor:
        nats = p.new_zeros(())
        for c in range(classes):
            if p[c] > 0:
                nats = nats - p[c] * p[c].log()
        return nats / math.log(classes)

    return each_pixel(of_pixel, probability)


def percentile_threshold(values: Tensor, valid: Tensor, share: float) -> float:
    """The value above which `share` of the valid entries lie: an exact percentile on the host."""
    return float(np.percentile(values[valid].cpu().numpy(), 100 * (1 - share)))


def class_ranks(probability: Tensor) -> Tensor:
    """Number of classes that are more likely, (P, C), class by class."""
    columns = []
    for c in range(probability.shape[1]):
        descending = probability.argsort(dim=1, descending=True, stable=True)
        columns.append((descending == c).int().argmax(dim=1))
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


def fuzzy_positives(probability: Tensor, t_u: float, k_max: int) -> Tensor:
    """The K most likely classes, K = clamp(n - 1, 1, min(k_max, C - 1)).

    n is the smallest number of classes that together reach T_u.
    """
    classes = probability.shape[1]
    value, order = probability.sort(dim=1, descending=True, stable=True)
    n = (value.cumsum(1) < t_u).sum(1) + 1
    k = (n - 1).clamp(1, min(k_max, classes - 1))
    positives = torch.zeros_like(probability, dtype=torch.bool)
    for place in range(classes):
        for c in range(classes):
            positives[:, c] |= (order[:, place] == c) & (place < k)
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
    """Weight from m, the mean of the K + 1 most likely classes, and p, the last of them."""

    def of_pixel(p: Tensor, inside: Tensor) -> Tensor:
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

    return each_pixel(of_pixel, probability, positives)


class ConfidenceBank:
    """AEL's running confidence with a loop over classes and a copy to the host for each."""

    def __init__(self, classes: int, momentum: float = 0.999) -> None:
        self.value, self.seen, self.momentum = [0.5] * classes, [0] * classes, momentum

    def update(self, probability: Tensor, label: Tensor) -> None:
        """Take in (B, C, H, W) probabilities and (B, H, W) labels, 255 = ignore."""
        for c in range(len(self.value)):
            of_class = label == c
            if not bool(of_class.any()):
                continue
            mean = float(probability[:, c][of_class].double().mean())
            momentum = min(1 - 1 / (self.seen[c] + 1), self.momentum)
            self.value[c] = momentum * self.value[c] + (1 - momentum) * mean
            self.seen[c] += 1


def class_sampling_probabilities(class_confidence: list[float], power: float) -> list[float]:
    """softmax((1 - g)^power)."""
    powers = [math.exp((1 - g) ** power) for g in class_confidence]
    return [power_c / sum(powers) for power_c in powers]


def equalization_sampling_rates(
    class_confidence: list[float], power: float = 1.0, minimum: float = 0.05
) -> list[float]:
    """((1 - g) / max(1 - g))^power, at least `minimum`."""
    largest = max(1 - g for g in class_confidence)
    return [max(minimum, ((1 - g) / largest) ** power) for g in class_confidence]


def squared_error(logits: Tensor, target: Tensor) -> Tensor:
    """1 / C sum_c (q_c - p_c)^2."""
    return each_pixel(
        lambda z, p: sum((softmax(z)[c] - p[c]) ** 2 for c in range(len(z))) / len(z),
        logits,
        target,
    )


def kl_divergence(logits_p: Tensor, logits_q: Tensor) -> Tensor:
    """sum_c p_c ln(p_c / q_c)."""

    def of_pixel(first: Tensor, second: Tensor) -> Tensor:
        p, q = softmax(first), softmax(second)
        total = p.new_zeros(())
        for c in range(len(p)):
            total = total + p[c] * (p[c] / q[c]).log()
        return total

    return each_pixel(of_pixel, logits_p, logits_q)


def soft_cross_entropy(logits: Tensor, probability: Tensor) -> Tensor:
    """-sum_c p_c ln q_c."""
    return each_pixel(
        lambda z, p: -sum(p[c] * softmax(z)[c].log() for c in range(len(z))), logits, probability
    )


def self_correction_loss(logits: Tensor, label: Tensor) -> Tensor:
    """(1 - w) CE(y, q) + w CE(q, y), ln 0 = ln 1e-4; w = max q held constant, 1 above 0.8."""

    def of_pixel(z: Tensor, y: Tensor) -> Tensor:
        if y == IGNORE:
            return 0 * z.sum()
        q = softmax(z)
        weight = float(q.detach().max())
        weight = 1.0 if weight > 0.8 else weight
        reverse = sum(-q[c] * math.log(1e-4) for c in range(len(z)) if c != int(y))
        return -(1 - weight) * q[int(y)].log() + weight * reverse

    return each_pixel(of_pixel, logits, label)


def directional_contrast(
    features_1: Tensor,
    features_2: Tensor,
    confidence_1: Tensor,
    confidence_2: Tensor,
    label_1: Tensor,
    label_2: Tensor,
    valid: Tensor,
    negatives: Tensor,
    negative_labels: Tensor,
    confidence_threshold: float,
    temperature: float,
) -> Tensor:
    """Place by place, direction by direction, negative by negative."""
    loss = 0 * (features_1.sum() + features_2.sum())
    sides = [
        (features_1, features_2, confidence_1, confidence_2, label_1),
        (features_2, features_1, confidence_2, confidence_1, label_2),
    ]
    for anchors, positives, confidence, other_confidence, label in sides:
        total, count = 0 * anchors.sum(), 0
        for i in range(len(anchors)):
            if (
                not valid[i]
                or other_confidence[i] <= confidence[i]
                or other_confidence[i] <= confidence_threshold
                or label[i] == IGNORE
            ):
                continue
            to_positive = (cosine(anchors[i], positives[i].detach()) / temperature).exp()
            to_negative = 0 * to_positive
            for n, negative_label in zip(negatives, negative_labels, strict=True):
                if negative_label not in (label[i], IGNORE):
                    to_negative = to_negative + (cosine(anchors[i], n.detach()) / temperature).exp()
            total, count = total - (to_positive / (to_positive + to_negative)).log(), count + 1
        loss = loss + total / max(count, 1)
    return loss


def info_nce(
    rep: Tensor, index: list[list[int]], positive: Tensor, negative: Tensor, temperature: float
) -> Tensor:
    """Eq. 5 of U2PL, anchor by anchor.

    `index` lists the anchors of each class; a class without any is left out.
    """
    total, present = 0 * rep.sum(), 0
    for c, places in enumerate(index):
        if not places:
            continue
        present += 1
        mean = 0 * rep.sum()
        for i in places:
            to_positive = (cosine(rep[i], positive[c]) / temperature).exp()
            to_negative = 0 * to_positive
            for n in negative[c]:
                to_negative = to_negative + (cosine(rep[i], n) / temperature).exp()
            mean = mean - (to_positive / (to_positive + to_negative)).log() / len(places)
        total = total + mean
    return total / max(present, 1)


class Queues:
    """U2PL's memory as a list of tensors: new entries are appended, the oldest sliced off."""

    def __init__(self, classes: int, length: int, width: int) -> None:
        self.rows, self.length = [torch.zeros(0, width)] * classes, length

    def push(self, rep: Tensor, negatives: Tensor, limit: int) -> None:
        """Up to `limit` random pixels of each class; (P, D), (P, C)."""
        for c in range(len(self.rows)):
            pixels = negatives[:, c].nonzero()[:, 0]
            pixels = pixels[torch.randperm(len(pixels), device=pixels.device)[:limit]]
            added = torch.nn.functional.normalize(rep[pixels].float(), dim=1)
            self.rows[c] = torch.cat([self.rows[c].to(added.device), added])[-self.length :]


def contrast(
    rep: Tensor,
    teacher_rep: Tensor,
    probability: Tensor,
    label: Tensor,
    labelled_or_reliable: Tensor,
    labelled: Tensor,
    unreliable: Tensor,
    queues: Queues,
    low_rank: int,
    high_rank: int,
    delta_p: float,
    anchors: int,
    negatives: int,
    temperature: float,
    limit: int,
) -> Tensor:
    """U2PL's contrastive loss class by class, as its section 3.3 tells it.

    Every anchor has negatives of its own.

    Args:
        rep, teacher_rep: (P, D).
        probability: (P, C).
        label: (P,) int64.
        labelled_or_reliable, labelled, unreliable: (P,) bool.
    """
    rank, classes = class_ranks(probability), probability.shape[1]
    negative_masks, anchor_pixels, positives = [], [], []
    for c in range(classes):
        anchor = (label == c) & labelled_or_reliable & (probability[:, c] > delta_p)
        labelled_negatives = labelled & (label != c) & (label != IGNORE) & (rank[:, c] < low_rank)
        unlabelled_negatives = unreliable & (rank[:, c] >= low_rank) & (rank[:, c] < high_rank)
        negative_masks.append(labelled_negatives | unlabelled_negatives)
        pixels = anchor.nonzero()[:, 0]
        anchor_pixels.append(pixels)
        positives.append(
            teacher_rep[pixels].mean(0)
            if len(pixels)
            else teacher_rep.new_zeros(teacher_rep.shape[1])
        )
    queues.push(teacher_rep, torch.stack(negative_masks, 1), limit)
    total, valid_classes = 0 * rep.sum(), 0
    for c in range(classes):
        rows = queues.rows[c]
        if not len(anchor_pixels[c]) or not len(rows):
            continue
        valid_classes += 1
        anchor = rep[
            anchor_pixels[c][torch.randint(len(anchor_pixels[c]), (anchors,), device=rep.device)]
        ]
        negative = rows[torch.randint(len(rows), (anchors * negatives,), device=rows.device)]
        others = torch.cat(
            [positives[c].expand(anchors, 1, -1), negative.view(anchors, negatives, -1)], 1
        )
        similarity = (
            torch.nn.functional.cosine_similarity(anchor[:, None], others, dim=2) / temperature
        )
        total = total + torch.nn.functional.cross_entropy(
            similarity, torch.zeros(anchors, dtype=torch.int64, device=rep.device)
        )
    return total / max(valid_classes, 1)


def equalized(label: Tensor, rates: list[float]) -> Tensor:
    """AEL's sampling: pixels (B, H, W) bool that stay, class by class."""
    sampled = torch.zeros_like(label, dtype=torch.bool)
    for c, rate in enumerate(rates):
        sampled |= (label == c) & (torch.rand(label.shape, device=label.device) < rate)
    return sampled


def stability(masks: list[NDArray[np.uint8]], classes: int) -> float:
    """sum_{j < K} mIoU(M_j, M_K), classes in neither left out."""
    total = 0.0
    for mask in masks[:-1]:
        class_iou = []
        for c in range(classes):
            intersection, union = (
                ((mask == c) & (masks[-1] == c)).sum(),
                ((mask == c) | (masks[-1] == c)).sum(),
            )
            if union:
                class_iou.append(float(intersection) / float(union))
        total += sum(class_iou) / len(class_iou)
    return total


def propagate_logits(features: Tensor, logits: Tensor) -> Tensor:
    """sum_j softmax_j(f_i f_j / sqrt D) z_j for every place i."""
    batch, width, height, across = features.shape
    f, z = features.flatten(2), logits.flatten(2)
    frames = []
    for b in range(batch):
        columns = []
        for i in range(height * across):
            attention = softmax(
                torch.stack(
                    [f[b, :, i] @ f[b, :, j] / math.sqrt(width) for j in range(height * across)]
                )
            )
            columns.append(
                sum(
                    (attention[j] * z[b, :, j] for j in range(height * across)),
                    start=0 * z[b, :, 0],
                )
            )
        frames.append(torch.stack(columns, 1).view(-1, height, across))
    return torch.stack(frames)


def mutual_weight(
    probability: Tensor, label: Tensor, confidence: Tensor, gamma_1: float, gamma_2: float
) -> Tensor:
    """p_c^g1 where both agree, 0 where they do not and the trained one is surer, else p_c^g2."""

    def of_pixel(p: Tensor, y: Tensor, label_confidence: Tensor) -> Tensor:
        if y == IGNORE:
            return p.new_zeros(())
        label_probability = p[int(y)]
        if int(p.argmax()) == int(y):
            return label_probability**gamma_1
        return p.new_zeros(()) if p.max() > label_confidence else label_probability**gamma_2

    return each_pixel(of_pixel, probability, label, confidence)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Means of -ln s(real) and -ln(1 - s(fake))."""
    loss_real = sum(-(1 / (1 + (-logit).exp())).log() for logit in real.flatten()) / real.numel()
    loss_fake = (
        sum(-(1 - 1 / (1 + (-logit).exp())).log() for logit in fake.flatten()) / fake.numel()
    )
    return torch.as_tensor(loss_real + loss_fake)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of two (D,)."""
    return (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())


def each_pixel(function: Callable[..., Tensor], *maps: Tensor) -> Tensor:
    """Apply `function` to every pixel's values, (B, H, W).

    These are a vector of (B, C, H, W) maps and a number of (B, H, W) maps.
    """
    batch, height, width = maps[0].shape[0], maps[0].shape[-2], maps[0].shape[-1]
    values = [torch.as_tensor(function(*pixel)) for pixel in _pixels(*maps)]
    return torch.stack(values).view(batch, height, width)


def _pixels(*maps: Tensor) -> Iterator[tuple[Tensor, ...]]:
    for b, y, x in np.ndindex(maps[0].shape[0], *maps[0].shape[-2:]):
        yield tuple(m[b, ..., y, x] for m in maps)
