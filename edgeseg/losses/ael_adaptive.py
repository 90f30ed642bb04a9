"""AEL's confidence bank and what follows from it (Hu et al., NeurIPS 2021).

The bank holds how well each class is learned; classes that are learned badly are pasted and mixed
more often, and their pseudo-labels are sampled more often. Legend: B batch, C classes, H W pixels,
g_c running confidence of class c, 0..1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.distributed import all_reduce_sum
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.shared.precision import to_float32


class ConfidenceBank(nn.Module):
    """The running mean of the probability that the network gives to the true class, class by class.

    Unlike AEL's code it starts at 0.5, leaves absent classes alone, and forgets its start at once.

    Attributes:
        value: (C,) float32, g.
        seen: (C,) int64, number of updates that had pixels of the class.
    """

    value: Tensor
    seen: Tensor

    def __init__(self, classes: int, momentum: float = 0.999) -> None:
        super().__init__()
        self.momentum = momentum
        # The buffers' names are keys of training checkpoints.
        self.register_buffer("value", torch.full((classes,), 0.5))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.int64))

    @torch.no_grad()
    def update(self, probability: Tensor, label: Tensor) -> None:
        """Move the confidence of each class towards its mean over the pixels of all processes.

        The k-th update of a class, k = 1, 2, ..., has the momentum min(1 - 1 / k, `momentum`), so
        that its first one replaces the start.

        Args:
            probability: (B, C, H, W).
            label: (B, H, W) int64 ground truth, 255 = ignore.
        """
        labelled = label != IGNORE
        true_class = label.masked_fill(~labelled, 0)[:, None]
        confidence = to_float32(probability).gather(1, true_class).double() * labelled[:, None]
        # Row 0: the sum of confidences of each class; row 1: the number of its pixels.
        sums = torch.zeros(2, len(self.value), dtype=torch.float64, device=label.device)
        sums[0].scatter_add_(0, true_class.flatten(), confidence.flatten())
        sums[1].scatter_add_(0, true_class.flatten(), labelled.flatten().double())
        total, count = all_reduce_sum(sums)
        momentum = (1 - 1 / (self.seen + 1)).clamp(max=self.momentum)
        batch_mean = (total / count.clamp(min=1)).to(self.value)
        updated = torch.lerp(batch_mean, self.value, momentum)
        self.value.copy_(torch.where(count > 0, updated, self.value))
        self.seen.add_(count > 0)


def class_sampling_probabilities(class_confidence: Tensor, power: float) -> Tensor:
    """Probability of each class to be the next one pasted, softmax((1 - g)^power).

    Example: g = (0.9, 0.6, 0.3) gives (0.24, 0.32, 0.44) for a power of 1.

    Args:
        class_confidence: (C,), g.
        power: 1 for AEL's adaptive CutMix, 0.5 for its adaptive copy-paste.

    Returns:
        (C,), sum 1.
    """
    return (1 - to_float32(class_confidence)).clamp(min=0).pow(power).softmax(0)


def equalization_sampling_rates(
    class_confidence: Tensor, power: float = 1.0, minimum: float = 0.05
) -> Tensor:
    """Rate at which pixels of each pseudo-label are sampled, ((1 - g_c) / max_k (1 - g_k))^power.

    Example: g = (0.9, 0.6, 0.3) gives (0.14, 0.57, 1) for a power of 1.

    Args:
        class_confidence: (C,), g.
        minimum: no class has a lower rate.

    Returns:
        (C,), 1 for the least confident class, and for all when every class is learned perfectly.
    """
    shortfall = (1 - to_float32(class_confidence)).clamp(min=0)
    largest = shortfall.max()
    relative = torch.where(largest > 0, shortfall / largest.clamp(min=1e-12), 1.0)
    return relative.pow(power).clamp(min=minimum)


def confidence_weight(confidence: Tensor) -> Tensor:
    """Weight of a pseudo-labelled pixel, its confidence squared (AEL's dynamic re-weighting).

    The summed loss is to be divided by the sum of the weights.

    Args:
        confidence: (B, H, W).
    """
    return to_float32(confidence).square()
