"""CorrMatch's label propagation (Sun et al., CVPR 2024), written from its description.

The correlation of features carries labels over to similar pixels. Regions that are mostly
confident and mostly of one class take that class as a whole, and the confidence threshold follows
the classes' best pixels; a host's own threshold holds as well.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.corrmatch_correlation import (
    AdaptiveThreshold,
    propagate_labels,
    propagate_logits,
)
from edgeseg.losses.cross_entropy import cross_entropy
from edgeseg.losses.shared.resize import resize_nearest, upsample
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import PixelWeights
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.views import PseudoTarget, certain_probability
from edgeseg.models import Output

SAMPLES = 64  # pixels with a region of similar ones; the paper takes 128 on far larger maps
WEIGHT = 0.25  # of the loss on propagated logits
STRIDE = 8  # of the encoder's maps that are correlated, or more; finer ones have too many pixels


class CorrMatch(Plugin):
    """Propagates the teacher's labels, and supervises the student's propagated logits with them."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__()
        self.threshold = AdaptiveThreshold()

    @torch.no_grad()
    def adjust_targets(self, method: Method, target: PseudoTarget, output: Output) -> PseudoTarget:
        """Make the propagated label certain where a region took it.

        Elsewhere the targets keep their resolution: a pole is thinner than a place of the features.
        """
        features = _correlated_maps(output, target.size[0]).float()
        size = (features.shape[2], features.shape[3])
        self.threshold.update(target.confidence, target.label, target.valid)
        small_probability = F.interpolate(target.probability, size=size, mode="area")
        small_confidence, small_label = small_probability.max(1)
        small_valid = resize_nearest(target.valid, size)
        classes = target.probability.shape[1]
        small_label, small_changed = propagate_labels(
            features,
            small_label.masked_fill(~small_valid, IGNORE),
            small_confidence,
            small_valid,
            self.threshold.value,
            SAMPLES,
            classes=classes,
        )
        changed = resize_nearest(small_changed, target.size)[:, None]
        label = resize_nearest(small_label, target.size)
        certain = certain_probability(label, classes, target.probability.dtype)
        return replace(target, probability=torch.where(changed, certain, target.probability))

    def reweight(self, target: PseudoTarget, selected: PixelWeights) -> PixelWeights:
        """Leave out pixels below the adaptive threshold."""
        confident = target.confidence >= self.threshold.value
        return PixelWeights(selected.weight * confident, selected.divisor)

    def auxiliary_loss(self, method: Method, step_context: StepContext) -> Tensor | None:
        """Cross-entropy of the student's propagated logits on confident pixels."""
        target, output = step_context.target, step_context.output
        number = len(target.images)
        features = _correlated_maps(output, target.size[0])[-number:]
        small_logits = F.adaptive_avg_pool2d(
            output.logits[-number:].float(), (features.shape[2], features.shape[3])
        )
        propagated = upsample(propagate_logits(features.float(), small_logits), target.size)
        confident = target.confidence >= self.threshold.value
        return WEIGHT * cross_entropy(propagated, torch.where(confident, target.label, IGNORE))


def _correlated_maps(output: Output, height: int) -> Tensor:
    """The encoder's maps (B, D, h, w) that are correlated.

    Of the maps whose stride is `STRIDE` or more these are the finest ones, and of equally fine ones
    the deepest; the last maps where all strides are smaller.

    Args:
        height: of the frames.
    """
    coarse = [maps for maps in output.features if maps.shape[2] * STRIDE < height + STRIDE]
    return max(reversed(coarse or output.features[-1:]), key=lambda maps: maps.shape[2])
