"""Reference values of the losses, from the papers' formulas and what the official code does.

Plain numpy in float64, pixel by pixel, and nothing of edgeseg. The numbers are kept in
tests/losses/official/references.json, with which tests/losses/official/test_references.py compares
`edgeseg.losses` and the methods: they are computed once, so that a change of both sides is seen.

    python benchmarks/loss_references.py            # prints what differs from the stored numbers
    python benchmarks/loss_references.py --write    # after a formula was found to be wrong

Inputs are drawn by numpy's `RandomState`, whose streams never change. Legend: B batch, C classes,
H W pixels, P places, D features, N negatives.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STORED = Path(__file__).resolve().parents[1] / "tests" / "losses" / "official" / "references.json"
B, C, H, W = 2, 11, 32, 48
IGNORE = 255
Array = NDArray[Any]  # Any: floats, class ids or booleans


class Inputs:
    """Random frames: logits of a student and two teachers, masks, and a padded quarter.

    Attributes:
        student, teacher, peer: (B, C, H, W) logits; the teacher is often sure.
        mask: (B, H, W) class ids, the first row ignored, class 10 absent.
        valid: (B, H, W) bool, false in the last quarter of the columns.
        everywhere: (B, H, W) bool, all true.
    """

    def __init__(self) -> None:
        self.student = 2 * normal(1, B, C, H, W)
        self.teacher = 4 * normal(2, B, C, H, W)
        self.peer = 2 * normal(3, B, C, H, W)
        self.mask = np.random.RandomState(4).randint(0, C - 1, (B, H, W))
        self.mask[:, 0] = IGNORE
        self.everywhere = np.ones((B, H, W), bool)
        self.valid = self.everywhere.copy()
        self.valid[..., W - W // 4 :] = False
        self.class_confidence = np.random.RandomState(5).uniform(0.1, 0.95, C)


class PixelInputs:
    """Places for the contrastive losses.

    Attributes:
        rep, teacher_rep: (P, D).
        probability: (P, C); label: (P,), 255 = none; labelled, unreliable: (P,) bool.
        negatives: (5, N, D) of five classes, unit length; prototypes: (5, D), unit length.
        crops: two (P, D); confidences, labels: two (P,); others: (N, D) with other_labels.
    """

    def __init__(self) -> None:
        places, features, number = 300, 12, 40
        random = np.random.RandomState(6)
        self.rep, self.teacher_rep = normal(7, places, features), normal(8, places, features)
        self.probability = np.array([softmax(2 * row) for row in normal(9, places, C)])
        self.labelled = np.arange(places) < places // 2
        self.label = np.where(
            self.labelled, random.randint(0, C, places), self.probability.argmax(1)
        )
        self.unreliable = ~self.labelled & (random.uniform(size=places) < 0.3)
        self.label[self.unreliable] = IGNORE
        self.negatives = unit(normal(10, 5, number, features))
        self.prototypes = unit(normal(11, 5, features))
        self.crops = normal(12, places, features), normal(13, places, features)
        self.confidences = random.uniform(0.3, 1, places), random.uniform(0.3, 1, places)
        self.labels = random.randint(0, C, places), random.randint(0, C, places)
        self.others, self.other_labels = normal(14, number, features), random.randint(0, C, number)


def normal(seed: int, *shape: int) -> Array:
    """Numbers of the standard normal distribution."""
    return np.random.RandomState(seed).standard_normal(shape)


def unit(rows: Array) -> Array:
    """Rows of length 1."""
    return np.asarray(rows / np.sqrt((rows**2).sum(-1, keepdims=True)))


def softmax(z: Array) -> Array:
    """Softmax of (C,) logits."""
    powers = np.exp(z - z.max())
    return np.asarray(powers / powers.sum())


def minus_log(z: Array, y: int) -> float:
    """-ln softmax(z)_y."""
    return float(-math.log(softmax(z)[y]))


def pixels(*maps: Array) -> Iterator[tuple[Any, ...]]:
    """The values of each pixel in turn: vectors of (B, C, H, W), numbers of (B, H, W)."""
    for b, y, x in np.ndindex(maps[0].shape[0], *maps[0].shape[-2:]):
        yield tuple(part[b, ..., y, x] for part in maps)


def references() -> dict[str, Any]:
    """Every reference value by its name."""
    return {**selection(Inputs()), **terms(Inputs()), **contrast(PixelInputs()), **whole_frames()}


def selection(given: Inputs) -> dict[str, Any]:
    """Losses on the teacher's labels that differ in which pixels count, and how much."""
    found: dict[str, Any] = {}
    p = [softmax(z) for (z,) in pixels(given.teacher)]
    confidence, label = np.array([q.max() for q in p]), [int(q.argmax()) for q in p]
    loss = np.array([minus_log(z, y) for (z,), y in zip(pixels(given.student), label, strict=True)])
    everywhere, valid = np.ones(B * H * W, bool), given.valid.reshape(-1)
    for threshold in (0.0, 0.5, 0.95):  # UniMatch: the sum over confident pixels by the valid ones
        kept = valid & (confidence >= threshold)
        found[f"unimatch {threshold}"] = float(loss[kept].sum() / valid.sum())
    entropy = np.array([-(q * np.log(q + 1e-10)).sum() for q in p])
    for name, where in (("", everywhere), (" padded", valid)):
        for progress in (0.0, 0.5, 0.9):  # U2PL: N / N_reliable times the mean over reliable ones
            percentile = np.percentile(entropy[where], 100 * (1 - 0.2 * (1 - progress)))
            reliable = where & (entropy < percentile)
            mean = loss[reliable].mean()
            found[f"u2pl {progress}{name}"] = float(mean * where.sum() / reliable.sum())
            # The official code counts the padding in N.
            found[f"u2pl {progress}{name} official"] = float(mean * B * H * W / reliable.sum())
    share = (confidence >= 0.968).mean()
    found["classmix"] = float(share * loss.mean())  # all pixels by the share of confident ones
    weight = np.where(valid, confidence**2, 0.0)
    found["ael reweighted"] = float((weight * loss).sum() / weight.sum())
    sure = valid & (confidence >= 0.6)
    found["psmt"] = float((confidence * loss)[sure].sum() / sure.sum())
    found["augseg"] = float(loss[valid].sum() / valid.sum())
    found["augseg official"] = float(loss[valid].sum() / (B * H * W))
    certainty = ((1 - entropy / math.log(C)) * confidence).reshape(B, -1)
    found["augseg certainty"] = certainty.mean(1).tolist()
    best = [confidence[np.array(label) == c].max() for c in range(C) if c in label]
    found["corrmatch threshold"] = float(0.999 * 0.85 + 0.001 * np.mean(best))
    return found


def terms(given: Inputs) -> dict[str, Any]:
    """Losses of a pixel, and what they are built from."""
    found: dict[str, Any] = {}
    student = [softmax(z) for (z,) in pixels(given.student)]
    teacher = [softmax(z) for (z,) in pixels(given.teacher)]
    error = [((p - q) ** 2).sum() for p, q in zip(student, teacher, strict=True)]
    found["cutmix-seg var"] = float(np.mean(error))  # French et al.: the sum over classes
    found["mean teacher"] = float(100 * np.mean(error) / 21)  # TorchSemiSeg: 100 of VOC's mean
    found["cct"] = float(np.mean(error) / C)
    found |= fuzzy(given)
    g = given.class_confidence
    for name, power in (("cutmix", 1.0), ("copy-paste", 0.5)):
        found[f"ael chances {name}"] = softmax((1 - g) ** power).tolist()
    found["ael rates"] = ((1 - g) / (1 - g).max()).tolist()
    sums, counts = [0.0] * C, [0] * C
    for z, y in pixels(given.student, given.mask):
        if y != IGNORE:
            sums[y], counts[y] = sums[y] + softmax(z)[y], counts[y] + 1
    found["ael confidence"] = [total / max(n, 1) for total, n in zip(sums, counts, strict=True)]
    total, number = 0.0, 0
    for z, other in pixels(given.student, given.peer):  # DMT, both exponents 3
        p, q = softmax(z), softmax(other)
        label = int(q.argmax())
        ours = int(p.argmax())
        weight = p[label] ** 3 if ours == label or p.max() <= q.max() else 0.0
        total, number = total - weight * math.log(p[label]), number + 1
    found["dmt"] = total / number
    found["dsbn"], found["dsbn gradient"] = self_correction(given)
    assist = []
    for z, other in pixels(given.student, given.peer):  # PS-MT: seven classes of the other teacher
        seventh = sorted(other)[-7]
        assist.append([(a + (b if b >= seventh else a)) / 2 for a, b in zip(z, other, strict=True)])
    found["psmt assist"] = float(np.mean([softmax(np.array(z)).max() for z in assist]))
    return found


def fuzzy(given: Inputs) -> dict[str, Any]:
    """FPL's assignment, loss and weights."""
    found: dict[str, Any] = {}
    for t_u in (0.5, 0.9, 0.95):
        numbers, losses = [0, 0, 0], []
        weights: dict[str, list[float]] = {"linear": [], "convex": [], "concave": []}
        convex_on_cps = []
        for z, other in pixels(given.student, given.peer):
            p = softmax(other)
            order = sorted(range(C), key=lambda c: -p[c])
            n = 1
            while sum(p[order[:n]]) < t_u:
                n += 1
            k = min(max(n - 1, 1), 3)
            numbers[k - 1] += 1
            pairs = sum(math.exp(z[j] - z[i]) for i in order[:k] for j in order[k:])
            losses.append(math.log(1 + pairs))
            m, last = p[order[: k + 1]].mean(), p[order[k]]
            weights["linear"].append((m - last) / m)
            weights["convex"].append((m - last) / (m + 4 * last))
            weights["concave"].append(math.log(1 + 50 * (m - last)) / math.log(1 + 50 * m))
            convex_on_cps.append((m - last) / (m + last))
        found[f"fpl numbers {t_u}"] = numbers
        found[f"fpl loss {t_u}"] = float(np.mean(losses))
        for name, values in weights.items():
            found[f"fpl {name} {t_u}"] = float(np.mean(values))
        found[f"fpl convex {t_u} on cps"] = float(np.mean(convex_on_cps))
    return found


def self_correction(given: Inputs) -> tuple[float, list[float]]:
    """DSBN's loss, the mean over labelled pixels, and its gradient by a pixel's logits.

    The gradient is that of the last pixel of the first frame, by central differences. It is the
    official code's for one frame: in a batch that multiplies each frame's losses by the weights of
    all frames, since (B, H, W) and (B, 1, H, W) meet.
    """

    def of_pixel(z: Array, y: int, weight: float) -> float:
        reverse = -sum(q * math.log(1e-4) for c, q in enumerate(softmax(z)) if c != y)
        return float((1 - weight) * minus_log(z, y) + weight * reverse)

    def weight_of(z: Array) -> float:
        confidence = float(softmax(z).max())
        return 1.0 if confidence > 0.8 else confidence

    losses = [
        of_pixel(z, y, weight_of(z)) for z, y in pixels(given.student, given.mask) if y != IGNORE
    ]
    z, y = given.student[0, :, -1, -1], int(given.mask[0, -1, -1])
    slopes = []
    for c in range(C):
        step = np.where(np.arange(C) == c, 1e-5, 0.0)
        ends = [of_pixel(z + sign * step, y, weight_of(z)) for sign in (1, -1)]
        slopes.append((ends[0] - ends[1]) / 2e-5)
    return float(np.mean(losses)), slopes


def contrast(given: PixelInputs) -> dict[str, Any]:
    """U2PL's anchors, negatives and InfoNCE, and CAC's directional contrast."""
    anchors, negatives = [], []
    for c in range(C):
        anchor_places, negative_places = [], []
        for place, p in enumerate(given.probability):
            rank = sum(other > p[c] for other in p)
            y = given.label[place]
            if y == c and p[c] > 0.3:
                anchor_places.append(place)
            mistaken = given.labelled[place] and y not in (c, IGNORE) and rank < 3
            if mistaken or (given.unreliable[place] and 3 <= rank < 20):
                negative_places.append(place)
        anchors.append(anchor_places)
        negatives.append(negative_places)
    total = 0.0
    for c in range(5):  # the anchor of class c is the c-th pixel
        a = unit(given.rep[c])
        positive = math.exp(a @ given.prototypes[c] / 0.5)
        others = sum(math.exp(a @ n / 0.5) for n in given.negatives[c])
        total -= math.log(positive / (positive + others)) / 5
    directional = 0.0
    for mine, other in ((0, 1), (1, 0)):
        losses = []
        for place in range(len(given.rep)):
            sure = given.confidences[other][place]
            if sure <= given.confidences[mine][place] or sure <= 0.75:
                continue
            f = unit(given.crops[mine][place])
            positive = math.exp(f @ unit(given.crops[other][place]) / 0.1)
            others = sum(
                math.exp(f @ unit(n) / 0.1)
                for n, y in zip(given.others, given.other_labels, strict=True)
                if y != given.labels[mine][place]
            )
            losses.append(-math.log(positive / (positive + others)))
        directional += float(np.mean(losses))
    return {
        "u2pl anchors": anchors,
        "u2pl negatives": negatives,
        "u2pl info_nce": total,
        "cac": directional,
    }


def whole_frames() -> dict[str, Any]:
    """What is decided frame by frame: ST++'s stability, and the boxes of CutMix."""
    masks = stability_masks()
    scores = []
    for mask in masks[:-1]:
        ious = []
        for c in range(4):
            one, other = mask == c, masks[-1] == c
            if (one | other).any():
                ious.append((one & other).sum() / (one | other).sum())
        scores.append(float(np.mean(ious)))
    return {
        "st++ stability": sum(scores),  # the paper's sum; the code has the mean, the same order
        # Height of French's boxes of half of the frame, 0.5^u with an even u, at 10, 50, 90 %.
        "cutmix heights": [0.5**u for u in (0.9, 0.5, 0.1)],
        # UniMatch's areas, evenly from 0.02 to 0.4, at 10, 50, 90 %.
        "unimatch areas": [0.02 + 0.38 * u for u in (0.1, 0.5, 0.9)],
        "unimatch weights": [0.25, 0.25, 0.5],
        "advssl constants": [0.01, 0.001, 0.1, 0.2],
        "s4gan constants": [0.1, 0.6],
    }


def stability_masks() -> list[NDArray[np.uint8]]:
    """Masks (H, W) of three checkpoints of which two are alike."""
    random = np.random.RandomState(15)
    last = random.randint(0, 3, (H, W))
    masks = [np.where(random.uniform(size=(H, W)) < part, 3, last) for part in (0.5, 0.1)]
    return [mask.astype(np.uint8) for mask in (*masks, last)]


def main() -> None:
    """Compare with the stored numbers, or store them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    found = references()
    if parser.parse_args().write:
        rows = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
        STORED.write_text("{\n" + ",\n".join(rows) + "\n}\n")
        return
    stored = json.loads(STORED.read_text())
    for name in sorted(found.keys() | stored.keys()):
        if found.get(name) != stored.get(name):
            print(f"{name}: stored {stored.get(name)}, now {found.get(name)}")


if __name__ == "__main__":
    main()
