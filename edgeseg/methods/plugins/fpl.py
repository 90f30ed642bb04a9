"""FPL (Qiao et al., CVPR 2023): a pixel that may be one of several classes is pulled to all of
them.

Replaces the cross-entropy on pseudo-labels of any host; free of further passes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import all_reduce_sum
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.fpl_fuzzy import fuzzy_loss, fuzzy_positives, fuzzy_weight
from edgeseg.methods.framework.method import MethodContext
from edgeseg.methods.framework.plugin import Plugin
from edgeseg.methods.framework.views import PseudoTarget


class FPL(Plugin):
    """Fuzzy positive assignment and regularization, scaled to the cross-entropy of the pixels that
    count.
    """

    def __init__(self, kit: MethodContext) -> None:
        super().__init__()
        self.settings = kit.config.fpl

    def pixel_loss(self, logits: Tensor, target: PseudoTarget, weight: Tensor) -> Tensor | None:
        with torch.no_grad():
            positives = fuzzy_positives(target.probability, self.settings.mass, self.settings.most)
            fuzzy = fuzzy_weight(target.probability, positives, self.settings.weight) * target.valid
            plain = F.cross_entropy(
                logits.float(), target.label, ignore_index=IGNORE, reduction="none"
            )
        loss = fuzzy_loss(logits.float(), positives) * fuzzy
        return loss * (
            all_reduce_sum((plain * weight).sum())
            / all_reduce_sum((loss * weight).sum()).clamp(min=1e-6)
        )
