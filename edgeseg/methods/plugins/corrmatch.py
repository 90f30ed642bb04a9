"""CorrMatch-style propagation (Sun et al., CVPR 2024), from its description: like pixels share a
label.

The correlation of features carries labels over to similar pixels; regions that are mostly confident
and mostly of one class take that class as a whole, and the least confidence follows the classes'
best pixels; a host's own threshold holds as well.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.corrmatch_correlation import AdaptiveThreshold, grow, propagate
from edgeseg.losses.cross_entropy import cross_entropy, upsample
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import PixelWeights
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.views import PseudoTarget
from edgeseg.models import Output

SAMPLES = 64  # pixels whose look-alikes make up a region; the paper takes 128 on far larger maps
WEIGHT = 0.25  # of the loss on propagated logits
STRIDE = 8  # of the encoder's maps that are correlated, or more; finer ones have too many pixels


class CorrMatch(Plugin):
    """Grows the teacher's labels and supervises the student's propagated logits with them."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__()
        self.threshold = AdaptiveThreshold()

    @torch.no_grad()
    def adjust_targets(self, method: Method, target: PseudoTarget, output: Output) -> PseudoTarget:
        features = _correlated(output, target.valid.shape[1]).float()
        size = (features.shape[2], features.shape[3])
        self.threshold.update(target.confidence, target.label, target.valid)
        small = F.interpolate(target.probability, size=size, mode="area")
        confidence, label = small.max(1)
        valid = (
            F.interpolate(target.valid[:, None].float(), size=size, mode="nearest-exact")[:, 0] > 0
        )
        classes = target.probability.shape[1]
        label, reached = grow(
            features,
            label.masked_fill(~valid, IGNORE),
            confidence,
            valid,
            self.threshold.value,
            SAMPLES,
            classes=classes,
        )
        # Elsewhere the belief stays as fine as it is: a pole is thinner than a place.
        whole = (target.valid.shape[1], target.valid.shape[2])
        grown = F.interpolate(reached[:, None].float(), size=whole, mode="nearest-exact") > 0
        wanted = F.interpolate(label[:, None].float(), size=whole, mode="nearest-exact")[
            :, 0
        ].long()
        certain = (
            F.one_hot(wanted.clamp(max=classes - 1), classes)
            .movedim(-1, 1)
            .to(target.probability.dtype)
        )
        return replace(target, probability=torch.where(grown, certain, target.probability))

    def reweight(self, target: PseudoTarget, selected: PixelWeights) -> PixelWeights:
        return PixelWeights(
            selected.weight * (target.confidence >= self.threshold.value), selected.divisor
        )

    def auxiliary_loss(self, method: Method, seen: StepContext) -> Tensor | None:
        number = len(seen.target.images)
        features = _correlated(seen.output, seen.target.valid.shape[1])[-number:]
        logits = F.adaptive_avg_pool2d(
            seen.output.logits[-number:].float(), (features.shape[2], features.shape[3])
        )
        spread = upsample(
            propagate(features.float(), logits),
            (seen.target.valid.shape[1], seen.target.valid.shape[2]),
        )
        label = torch.where(
            seen.target.confidence >= self.threshold.value, seen.target.label, IGNORE
        )
        return WEIGHT * cross_entropy(spread, label)


def _correlated(output: Output, height: int) -> Tensor:
    """The finest of the encoder's maps (B, D, h, w) whose stride is `STRIDE` or more, of equals the
    deepest.
    """
    coarse = [maps for maps in output.features if maps.shape[2] * STRIDE < height + STRIDE]
    return max(reversed(coarse or output.features[-1:]), key=lambda maps: maps.shape[2])
