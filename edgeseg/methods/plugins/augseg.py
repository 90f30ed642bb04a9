"""AugSeg's label-injecting CutMix (Zhao et al., CVPR 2023): boxes of labelled frames.

The box covers 1 - lambda of the frame, lambda ~ Beta(8, 2). A frame gets one with the chance 1 -
its mean certainty, the certainty of a pixel being (1 - entropy) times confidence.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.data.cutmix import random_boxes
from edgeseg.methods.framework.method import Batch, MethodContext
from edgeseg.methods.framework.plugin import Plugin
from edgeseg.methods.framework.views import PseudoTarget, insert_labelled


class AugSeg(Plugin):
    """Injects boxes of labelled frames; strong colors and the host's own mixing follow."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__()

    def inject(self, target: PseudoTarget, labelled: Batch) -> PseudoTarget:
        """Put a box of a random labelled frame into each uncertain frame."""
        number, height, width = target.valid.shape
        donors = len(labelled.images)
        donor = torch.randperm(donors)[torch.arange(number) % donors].to(target.images.device)
        share = 1 - float(torch.distributions.Beta(8.0, 2.0).sample())
        box = random_boxes(number, height, width, target.images.device, share=max(share, 0.01))
        uncertain = torch.rand(number, device=box.device) < 1 - mean_certainty(target)
        return insert_labelled(target, labelled, donor, box & uncertain[:, None, None])


def mean_certainty(target: PseudoTarget) -> Tensor:
    """(B,) mean over the valid pixels of (1 - entropy) * confidence."""
    certainty = (1 - target.entropy) * target.confidence * target.valid
    return certainty.sum((1, 2)) / target.valid.sum((1, 2)).clamp(min=1)
