"""AugSeg's label-injecting CutMix (Zhao et al., CVPR 2023): uncertain frames get a box of a
labelled one.

The box covers 1 - lambda of the frame, lambda ~ Beta(8, 2); a frame gets one with the chance 1 -
its mean certainty, certainty being (1 - entropy) times confidence of a pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.data.cutmix import random_boxes
from edgeseg.methods.framework.method import Batch, MethodContext
from edgeseg.methods.framework.plugin import Plugin
from edgeseg.methods.framework.views import PseudoTarget, insert


class AugSeg(Plugin):
    """Injects; colors and the host's own mixing follow."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__()

    def inject(self, target: PseudoTarget, labelled: Batch) -> PseudoTarget:
        number, height, width = target.valid.shape
        donor = torch.randperm(len(labelled.images))[torch.arange(number) % len(labelled.images)]
        donor = donor.to(target.images.device)
        share = 1 - float(torch.distributions.Beta(8.0, 2.0).sample())
        box = random_boxes(number, height, width, target.images.device, share=max(share, 0.01))
        chosen = torch.rand(number, device=box.device) < 1 - certainty(target)
        return insert(target, labelled, donor, box & chosen[:, None, None])


def certainty(target: PseudoTarget) -> Tensor:
    """(B,) mean over the valid pixels of (1 - entropy) * confidence."""
    value = (1 - target.entropy) * target.confidence * target.valid
    return value.sum((1, 2)) / target.valid.sum((1, 2)).clamp(min=1)
