"""DMT (Feng et al., Pattern Recognition 2022, arXiv 2004.08514): two networks teach each other in
five phases.

In phase k the one labels, for the other, the k / 5 pixels of each class that it is surest of; how
much a label counts depends on what the learner itself believes (`losses.agreement`). A network goes
on from where its last phase left it.

Simplified: the networks differ in their heads, not in what they were pre-trained on, and a frozen
peer labels every batch as it comes, so the surest pixels are those of the batch instead of those of
all footage.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.data.augment import strong_augment
from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.cross_entropy import upsample
from edgeseg.losses.dmt_weights import mutual_weight
from edgeseg.losses.entropy import class_thresholds
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.staged_method import Stages
from edgeseg.methods.framework.views import PseudoTarget, pseudo_target
from edgeseg.methods.online.suponly import suponly
from edgeseg.models import Network

PHASES = 5
INITIAL = 0.1  # share of the steps for each network before the phases, which divide the rest evenly
GAMMA = 3.0  # both exponents of the weight; 5 on VOC
FINEST = 2.0**-24  # doubt below which float32 knows no difference


class Mutual(Method):
    """Cross-entropy on what a frozen peer labels in clean frames, the learner seeing strong
    colors.
    """

    def __init__(self, kit: MethodContext, peer: Network, share: float) -> None:
        """Take the peer and the share 0..1 of the pixels of each class that it labels."""
        super().__init__(kit.student, kit.pixels, kit.config.ema, kit.config.class_balance)
        self.peer = peer.requires_grad_(False).eval()
        self._share, self._color, self._weight = (
            share,
            kit.config.strong,
            kit.config.unlabelled_weight,
        )

    def train(self, mode: bool = True) -> Mutual:
        super().train(mode)
        self.peer.eval()
        return self

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        self.teacher_forward(torch.cat([labelled.images, unlabelled.images]))
        with torch.no_grad():
            target = pseudo_target(unlabelled, self.peer(self.normalize(unlabelled.images)).logits)
            label = surest(target, self._share)
            images = strong_augment(target.images) if self._color else target.images
        logits = self.student(self.normalize(torch.cat([labelled.images, images]))).logits
        number = len(labelled.images)
        supervised = self.supervised(logits[:number], labelled.masks)
        found = upsample(logits[number:], (label.shape[1], label.shape[2]))
        weight = mutual_weight(found.detach().softmax(1), label, target.confidence, GAMMA, GAMMA)
        loss = F.cross_entropy(found, label, ignore_index=IGNORE, reduction="none")
        mutual = distributed_mean((loss * weight).sum(), (label != IGNORE).sum())
        kept = (label != IGNORE).sum() / target.valid.sum().clamp(min=1)
        logs = {"supervised": supervised.detach(), "unlabelled": mutual.detach(), "kept": kept}
        return StepResult(supervised + self._weight * mutual, logs)


def surest(target: PseudoTarget, share: float) -> Tensor:
    """The labels (B, H, W), 255 but for the `share` of each class's pixels with the highest
    confidence.

    Confidence crowds below 1, so pixels are compared by the logarithm of what is missing.
    """
    classes = target.probability.shape[1]
    sureness = (1 - target.confidence).clamp(min=FINEST).log2() / math.log2(FINEST)
    least = class_thresholds(sureness, target.label, target.valid, share, classes)
    kept = target.valid & (sureness >= least[target.label.clamp(max=classes - 1)])
    return target.label.masked_fill(~kept, IGNORE)


def dmt(stages: Stages) -> Path:
    """Two networks with different heads, then five phases in which each learns from the other's
    last state.
    """
    first = stages.train("first-0", INITIAL, suponly)
    second = stages.train("second-0", INITIAL, _other)
    part = (1 - 2 * INITIAL) / (2 * PHASES)
    for phase in range(1, PHASES + 1):
        make = partial(Mutual, peer=stages.network(first), share=phase / PHASES)
        second = stages.train(f"second-{phase}", part, make, start=second)
        make = partial(Mutual, peer=stages.network(second), share=phase / PHASES)
        first = stages.train(f"first-{phase}", part, make, start=first, last=phase == PHASES)
    return first


def _other(kit: MethodContext) -> Method:
    return suponly(replace(kit, student=kit.another()))
