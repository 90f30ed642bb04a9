"""DACS (Tranheden et al., WACV 2021): half of the classes of a labelled frame on each other frame.

Made for domain adaptation, as from the evening that was labelled to the days that were not: what is
pasted is known for certain, and stands where the footage was taken. Every frame is mixed, as in the
paper, with a random labelled frame of the batch. The paper mixes where colors are weak and recolors
afterwards, which is the order of hooks here, and weighs all pseudo-labelled pixels by the share
that is confident, which is the host's choice here.
"""

from __future__ import annotations

import torch

from edgeseg.methods.framework.method import Batch, MethodContext
from edgeseg.methods.framework.mix_regions import half_of_the_classes
from edgeseg.methods.framework.plugin import Plugin
from edgeseg.methods.framework.views import PseudoTarget, insert_labelled


class DACS(Plugin):
    """Injects classes of labelled frames; strong colors and the host's own mixing follow."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__()

    def inject(self, target: PseudoTarget, labelled: Batch) -> PseudoTarget:
        """Paste half of the classes of a random labelled frame into every frame."""
        number, donors = len(target.images), len(labelled.images)
        donor = torch.randperm(donors)[torch.arange(number) % donors].to(target.images.device)
        classes = target.probability.shape[1]
        region = half_of_the_classes(labelled.masks[donor], classes)
        return insert_labelled(target, labelled, donor, region)
