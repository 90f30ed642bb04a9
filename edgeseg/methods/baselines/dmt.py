"""DMT (Feng et al., Pattern Recognition 2022, arXiv 2004.08514): dynamic mutual training.

Two networks teach each other in five phases. In phase k the one labels, for the other, the k / 5
most confident pixels of each class; how much a label counts depends on what the trained network
itself predicts (`losses/baselines/dmt_weights.py`). A network goes on from where its last phase
left it.

Simplified: the networks differ in their heads, not in what they were pre-trained on, and a frozen
peer labels every batch as it comes, so the most confident pixels are those of the batch instead of
those of all footage.
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
from edgeseg.losses.baselines.dmt_weights import mutual_weight
from edgeseg.losses.entropy import class_percentile_thresholds
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.staged_method import Stages
from edgeseg.methods.framework.views import PseudoTarget, pseudo_target
from edgeseg.methods.online.suponly import suponly
from edgeseg.models import Network

PHASES = 5
# Share of the steps for each network before the phases, which divide the rest evenly.
INITIAL_SHARE = 0.1
GAMMA = 3.0  # both exponents of the weight; 5 on VOC
EPSILON = 2.0**-24  # float32 knows no confidence between 1 - EPSILON and 1


class Mutual(Method):
    """Cross-entropy on the labels of a frozen peer, made from clean frames.

    The student sees strong colors.
    """

    def __init__(self, context: MethodContext, peer: Network, share: float) -> None:
        """Take the peer and the share 0..1 of the pixels of each class that it labels."""
        config = context.config
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        self.peer = peer.requires_grad_(False).eval()
        self._share = share
        self._strong_colors, self._weight = config.strong, config.unlabelled_weight

    def train(self, mode: bool = True) -> Mutual:
        super().train(mode)
        self.peer.eval()
        return self

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        self.teacher_forward(torch.cat([labelled.images, unlabelled.images]))
        with torch.no_grad():
            target = pseudo_target(unlabelled, self.peer(self.normalize(unlabelled.images)).logits)
            label = most_confident_labels(target, self._share)
            images = strong_augment(target.images) if self._strong_colors else target.images
        logits = self.student(self.normalize(torch.cat([labelled.images, images]))).logits
        number = len(labelled.images)
        supervised = self.supervised_loss(logits[:number], labelled.masks)
        pseudo_logits = upsample(logits[number:], target.size)
        weight = mutual_weight(
            pseudo_logits.detach().softmax(1), label, target.confidence, GAMMA, GAMMA
        )
        loss = F.cross_entropy(pseudo_logits, label, ignore_index=IGNORE, reduction="none")
        mutual = distributed_mean((loss * weight).sum(), (label != IGNORE).sum())
        kept = (label != IGNORE).sum() / target.valid.sum().clamp(min=1)
        logs = {"supervised": supervised.detach(), "unlabelled": mutual.detach(), "kept": kept}
        return StepResult(supervised + self._weight * mutual, logs)


def most_confident_labels(target: PseudoTarget, share: float) -> Tensor:
    """The labels (B, H, W) of the `share` of each class's pixels with the highest confidence.

    All others are 255. Confidences crowd below 1, so pixels are compared by the logarithm of what
    is missing: 0.5 becomes 1/24, 0.999 about 10/24, and 1 - 2^-24 becomes 1.
    """
    classes = target.probability.shape[1]
    log_confidence = (1 - target.confidence).clamp(min=EPSILON).log2() / math.log2(EPSILON)
    thresholds = class_percentile_thresholds(
        log_confidence, target.label, target.valid, share, classes
    )
    reached = log_confidence >= thresholds[target.label.clamp(max=classes - 1)]
    return target.label.masked_fill(~(target.valid & reached), IGNORE)


def dmt(stages: Stages) -> Path:
    """Two networks with different heads, then five phases in which each learns from the other."""
    first = stages.train("first-0", INITIAL_SHARE, suponly)
    second = stages.train("second-0", INITIAL_SHARE, _second_network)
    share = (1 - 2 * INITIAL_SHARE) / (2 * PHASES)
    for phase in range(1, PHASES + 1):
        make = partial(Mutual, peer=stages.network(first), share=phase / PHASES)
        second = stages.train(f"second-{phase}", share, make, start=second)
        make = partial(Mutual, peer=stages.network(second), share=phase / PHASES)
        first = stages.train(f"first-{phase}", share, make, start=first, last=phase == PHASES)
    return first


def _second_network(context: MethodContext) -> Method:
    return suponly(replace(context, student=context.new_network()))
