"""AEL's sampling and re-weighting (Hu et al., NeurIPS 2021): classes that go badly get more of
everything.

A confidence bank holds how sure the student is of the true class. Bad classes are pasted more often
into labelled frames (adaptive copy-paste), mixed more often into unlabelled ones (adaptive CutMix),
and good ones are thinned out among the pseudo-labels (equalization sampling), which count by the
square of their confidence (dynamic re-weighting).

Other than the official code: the box of CutMix is laid around a random pixel of the class instead
of a connected component of a stored prediction, pasting takes a class from the next labelled frame
of the batch without resizing it, the list of classes that are never pasted is found from their
share of the labels, and consistency is not asked of the labelled frames as well.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.data.cutmix import random_boxes
from edgeseg.losses.ael_adaptive import (
    ConfidenceBank,
    class_chances,
    confidence_weight,
    keep_chances,
)
from edgeseg.methods.framework.method import Batch, MethodContext
from edgeseg.methods.framework.pixel_selection import PixelWeights, rescaled
from edgeseg.methods.framework.plugin import Plugin
from edgeseg.methods.framework.views import PseudoTarget


class AEL(Plugin):
    """The bank and what follows from it."""

    rare: Tensor

    def __init__(self, kit: MethodContext) -> None:
        super().__init__()
        self.settings, self.cutmix = kit.config.ael, kit.config.cutmix
        self.bank = ConfidenceBank(len(kit.pixels), self.settings.keep)
        self.register_buffer("rare", uncommon(kit.pixels, self.settings.common), persistent=False)

    @torch.no_grad()
    def prepare(self, labelled: Batch) -> Batch:
        """Paste a class of the next frame, drawn with softmax(sqrt(1 - g)), into a share of the
        frames.
        """
        chances = class_chances(self.bank.value, 0.5) * self.rare
        donor = labelled.masks.roll(-1, 0)
        chosen = draw_present(donor, chances)
        wanted = torch.rand(len(donor), device=donor.device) < self.settings.copy_paste
        taken = (donor == chosen[:, None, None]) & (wanted & (chosen >= 0))[:, None, None]
        images = torch.where(taken[:, None], labelled.images.roll(-1, 0), labelled.images)
        masks = torch.where(taken, donor, labelled.masks)
        return Batch(images, masks, labelled.valid | taken)

    @torch.no_grad()
    def observe(self, logits: Tensor, masks: Tensor) -> None:
        self.bank.update(logits.float().softmax(1), masks)

    def mix_region(self, target: PseudoTarget) -> Tensor | None:
        """A box around a pixel of the next frame whose class is drawn with softmax(1 - g)."""
        batch, height, width = target.valid.shape
        if float(torch.rand(())) >= self.cutmix:
            return torch.zeros_like(target.valid)
        label = target.label.roll(-1, 0)
        chosen = draw_present(label, class_chances(self.bank.value, 1.0))
        box = random_boxes(batch, height, width, label.device)
        wanted = (label == chosen[:, None, None]).flatten(1).float() + 1e-9
        pixel = torch.multinomial(wanted, 1)[:, 0]
        return _center(box, pixel // width, pixel % width)

    def reweight(self, target: PseudoTarget, selected: PixelWeights) -> PixelWeights:
        """Keep a pixel with its class's chance, weigh it by the square of its confidence."""
        chance = keep_chances(self.bank.value, 1.0, self.settings.least_keep)
        kept = torch.rand_like(target.confidence) < chance[target.label.clamp(max=len(chance) - 1)]
        return rescaled(selected, kept * confidence_weight(target.confidence))


def uncommon(pixels: Tensor, common: float) -> Tensor:
    """(C,) bool, the classes that have at most the share `common` of the labelled pixels (C,)."""
    return pixels / pixels.sum().clamp(min=1) <= common


def draw_present(label: Tensor, chances: Tensor) -> Tensor:
    """(B,) a class that each (H, W) label holds, drawn with `chances` (C,); -1 where none has a
    chance.
    """
    classes = torch.arange(len(chances), device=label.device)
    present = (label.flatten(1)[:, None] == classes[:, None]).any(2)
    weight = present * chances
    drawn = torch.multinomial(weight + 1e-12 * present + 1e-30, 1)[:, 0]
    return torch.where(weight.sum(1) > 0, drawn, -1)


def _center(box: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Move each box (B, H, W) so that its middle comes to (row, column), as far as the frame
    allows.
    """
    height, width = box.shape[1:]
    rows, columns = box.any(2), box.any(1)
    tall, wide = rows.sum(1), columns.sum(1)
    top = (row - tall // 2).clamp(min=0).minimum(height - tall)
    left = (column - wide // 2).clamp(min=0).minimum(width - wide)
    y, x = torch.arange(height, device=box.device), torch.arange(width, device=box.device)
    inside_y = (y >= top[:, None]) & (y < (top + tall)[:, None])
    inside_x = (x >= left[:, None]) & (x < (left + wide)[:, None])
    return inside_y[:, :, None] & inside_x[:, None, :]
