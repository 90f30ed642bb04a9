"""AugSeg's label-injecting CutMix (Zhao et al., CVPR 2023): uncertain frames get a box of a labelled one.

The box covers 1 - lambda of the frame, lambda ~ Beta(8, 2); a frame gets one with the chance 1 - its mean certainty,
certainty being (1 - entropy) times confidence of a pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.data.mix import boxes
from edgeseg.methods.method import Batch, Kit
from edgeseg.methods.plugin import Plugin
from edgeseg.methods.views import Target


class AugSeg(Plugin):
    """Injects; colours and the host's own mixing follow."""

    def __init__(self, kit: Kit) -> None:
        super().__init__()

    def inject(self, target: Target, labelled: Batch) -> Target:
        number, classes, height, width = target.probability.shape
        donor = torch.randperm(len(labelled.images))[torch.arange(number) % len(labelled.images)]
        donor = donor.to(target.images.device)
        share = 1 - float(torch.distributions.Beta(8.0, 2.0).sample())
        box = boxes(number, height, width, target.images.device, share=max(share, 0.01))
        chosen = torch.rand(number, device=box.device) < 1 - certainty(target)
        box = box & chosen[:, None, None]
        truth = labelled.masks[donor]
        known = labelled.valid[donor] & (truth < classes)
        certain = F.one_hot(truth.clamp(max=classes - 1), classes).movedim(-1, 1).to(target.probability.dtype)
        return Target(
            torch.where(box[:, None], labelled.images[donor], target.images),
            torch.where(box[:, None], certain, target.probability),
            torch.where(box, known, target.valid),
            tuple(torch.where(box[:, None], certain, peer) for peer in target.peers),
        )


def certainty(target: Target) -> Tensor:
    """(B,) mean over the valid pixels of (1 - entropy) * confidence."""
    value = (1 - target.entropy) * target.confidence * target.valid
    return value.sum((1, 2)) / target.valid.sum((1, 2)).clamp(min=1)
