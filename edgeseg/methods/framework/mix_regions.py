"""Which pixels of a view are taken from the next frame: boxes, or classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgeseg.data.cutmix import random_boxes, small_boxes
from edgeseg.methods.framework.views import PseudoTarget

# The pixels (B, H, W) bool of a view that are taken from the next frame; None: none at all.
MixRegion = Callable[[PseudoTarget], Tensor | None]


def cutmix(chance: float) -> MixRegion:
    """CutMix (French et al., 2020): a box of half the area, in a share `chance` of the steps."""

    def region(target: PseudoTarget) -> Tensor | None:
        if float(torch.rand(())) >= chance:
            return None
        height, width = target.size
        return random_boxes(len(target.valid), height, width, target.images.device)

    return region


def cutmix_by_frame(chance: float) -> MixRegion:
    """UniMatch's CutMix: a box of 2 to 40 % of the area, in a share `chance` of the frames."""

    def region(target: PseudoTarget) -> Tensor | None:
        number, device = len(target.valid), target.images.device
        box = small_boxes(number, *target.size, device)
        return box & (torch.rand(number, device=device) < chance)[:, None, None]

    return region


def classmix(chance: float) -> MixRegion:
    """ClassMix (Olsson et al., 2021): the pixels of half of the classes that the next frame shows.

    Below four classes it is CutMix: half of two classes is one, so that everything or nothing would
    be copied.
    """
    fallback = cutmix(1.0)

    def region(target: PseudoTarget) -> Tensor | None:
        if float(torch.rand(())) >= chance:
            return None
        classes = target.probability.shape[1]
        if classes < 4:
            return fallback(target)
        return half_of_the_classes(target.label.roll(-1, 0), classes)

    return region


def half_of_the_classes(label: Tensor, classes: int) -> Tensor:
    """The pixels (B, H, W) bool of a random half of the classes that each frame shows.

    Args:
        label: (B, H, W) int64; ids from `classes` on, such as 255, are never chosen.
        classes: C.
    """
    class_ids = torch.arange(classes, device=label.device)
    present = (label.flatten(1)[:, None] == class_ids[:, None]).any(2)  # (B, C)
    # A random order of the classes in which absent ones come last; the first half is chosen.
    lottery = torch.rand(present.shape, device=label.device).masked_fill(~present, 2.0)
    rank = lottery.argsort(1).argsort(1)
    chosen = rank < (present.sum(1, keepdim=True) // 2)
    # One more column for the padding's 255, which is never pasted.
    chosen = torch.cat([chosen, torch.zeros_like(chosen[:, :1])], 1)
    return chosen.gather(1, label.clamp(max=classes).flatten(1)).view_as(label)
