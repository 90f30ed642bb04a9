"""How well each class is learned, and more chances for the ones that are not (AEL, Hu et al.,
NeurIPS 2021; methods.md 2.4).

Legend: B batch, C classes, H W pixels; g_c is the running confidence of class c, 0..1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.distributed import all_reduce_sum
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.precision import to_float32


class ConfidenceBank(nn.Module):
    """The probability that the network gives to the true class, averaged over time for each class
    by itself.

    Unlike AEL's code it starts at 0.5, leaves absent classes alone and forgets its start at once.

    Attributes:
        value: (C,) float32, g.
        seen: (C,) int64, updates that had pixels of the class.
    """

    value: Tensor
    seen: Tensor

    def __init__(self, classes: int, keep: float = 0.999) -> None:
        super().__init__()
        self.keep = keep
        self.register_buffer("value", torch.full((classes,), 0.5))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.int64))

    @torch.no_grad()
    def update(self, probability: Tensor, label: Tensor) -> None:
        """Take in labelled pixels of all processes; the k-th update of a class keeps min(1 - 1 / k,
        keep).

        Args:
            probability: (B, C, H, W).
            label: (B, H, W) int64, 255 = ignore.
        """
        known = label != IGNORE
        place = label.masked_fill(~known, 0)[:, None]
        true_class = to_float32(probability).gather(1, place).double() * known[:, None]
        sums = torch.zeros(2, len(self.value), dtype=torch.float64, device=label.device)
        sums[0].scatter_add_(0, place.flatten(), true_class.flatten())
        sums[1].scatter_add_(0, place.flatten(), known.flatten().double())
        amount, count = all_reduce_sum(sums)
        keep = (1 - 1 / (self.seen + 1)).clamp(max=self.keep)
        moved = torch.lerp((amount / count.clamp(min=1)).to(self.value), self.value, keep)
        self.value.copy_(torch.where(count > 0, moved, self.value))
        self.seen.add_(count > 0)


def class_chances(value: Tensor, power: float) -> Tensor:
    """Chance that a class is the next to be pasted, softmax((1 - g)^power); AEL: 1 for CutMix, 0.5
    for copy-paste.

    Args:
        value: (C,), g.

    Returns:
        (C,), sum 1.
    """
    return (1 - to_float32(value)).clamp(min=0).pow(power).softmax(0)


def keep_chances(value: Tensor, power: float = 1.0, least: float = 0.05) -> Tensor:
    """Chance that an unlabelled pixel of a class counts, ((1 - g) / max(1 - g))^power, no class
    below `least`.

    Args:
        value: (C,), g.

    Returns:
        (C,), 1 for the least confident class, and for all when every class is learned perfectly.
    """
    lack = (1 - to_float32(value)).clamp(min=0)
    worst = lack.max()
    share = torch.where(worst > 0, lack / worst.clamp(min=1e-12), 1.0)
    return share.pow(power).clamp(min=least)


def confidence_weight(confidence: Tensor) -> Tensor:
    """Weight of a pseudo-labelled pixel, its confidence squared; normalize by the sum: `ratio(sum w
    l, sum w)`.

    Args:
        confidence: (B, H, W).
    """
    return to_float32(confidence).square()
