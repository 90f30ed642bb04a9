"""FPL (Qiao et al., CVPR 2023): a pixel is pulled to all classes that it may well be.

It replaces the cross-entropy on pseudo-labels of any host, and needs no further passes. Pixels
weigh alike, as in the authors' code on CPS; on AEL by the curve "concave", as in their code there.

Other than in that code, each loss is scaled to its cross-entropy by itself, where on CPS the code
scales both networks' by one factor; "convex" is the formula on AEL, (m - p) / (m + 4 p), which on
CPS is (m - p) / (m + p).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.config.method_catalogue import parts_of
from edgeseg.distributed import all_reduce_sum
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.fpl_fuzzy import FuzzyMode, fuzzy_loss, fuzzy_positives, fuzzy_weight
from edgeseg.methods.framework.method import MethodContext
from edgeseg.methods.framework.plugin import Plugin
from edgeseg.methods.framework.views import PseudoTarget


class FPL(Plugin):
    """Fuzzy positive assignment and regularization, scaled to the cross-entropy it replaces."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__()
        self.settings = context.config.fpl
        on_ael = "ael" in parts_of(context.config.method, context.config.plugins)
        self._own_weight: FuzzyMode = "concave" if on_ael else "none"

    def pixel_loss(self, logits: Tensor, target: PseudoTarget, weight: Tensor) -> Tensor | None:
        """The fuzzy loss, whose weighted sum is that of the cross-entropy of the same pixels."""
        with torch.no_grad():
            positives = fuzzy_positives(target.probability, self.settings.mass, self.settings.most)
            pixel_weight = fuzzy_weight(
                target.probability, positives, self.settings.weight or self._own_weight
            )
            pixel_weight = pixel_weight * target.valid
            cross_entropy = F.cross_entropy(
                logits.float(), target.label, ignore_index=IGNORE, reduction="none"
            )
        loss = fuzzy_loss(logits.float(), positives) * pixel_weight
        return loss * (
            all_reduce_sum((cross_entropy * weight).sum())
            / all_reduce_sum((loss * weight).sum()).clamp(min=1e-6)
        )
