"""AEL's sampling and re-weighting (Hu et al., NeurIPS 2021), which favor badly learned classes.

A confidence bank holds how confident the student is of the true class. Badly learned classes are
pasted more often into labelled frames (adaptive copy-paste) and mixed more often into unlabelled
ones (adaptive CutMix); well learned ones are thinned out among the pseudo-labels (equalization
sampling), which count by the square of their confidence (dynamic re-weighting).

Frames are mixed in every step, as in the official code. Its bank knows of every frame of the
footage which classes it shows; here the partner of adaptive CutMix is a frame of the batch that
shows the drawn class, and a class that no other frame of the batch shows is not drawn. The box
covers half of the frame, around a random pixel of the class instead of a connected component of the
prediction. Pasting takes one class, there up to three, from the next labelled frame of the batch
without resizing it; the list of classes that are never pasted is found from their share of the
labels. Equalization sampling goes by the teacher's label, there by the student's. Labelled frames
have no consistency loss. What differs in the confidence bank is in `losses/ael_adaptive.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.data.cutmix import random_boxes
from edgeseg.losses.ael_adaptive import (
    ConfidenceBank,
    class_sampling_probabilities,
    confidence_weight,
    equalization_sampling_rates,
)
from edgeseg.methods.framework.method import Batch, MethodContext
from edgeseg.methods.framework.pixel_selection import PixelWeights, reweighted
from edgeseg.methods.framework.plugin import Plugin
from edgeseg.methods.framework.views import PseudoTarget, mix_frames

MIXING_CHANCE = 1.0  # share of the steps with adaptive CutMix, unless train.cutmix says another


class AEL(Plugin):
    """The confidence bank, and the four rules that follow from it."""

    rare: Tensor

    def __init__(self, context: MethodContext) -> None:
        super().__init__()
        self.settings, self._config = context.config.ael, context.config
        self.bank = ConfidenceBank(len(context.pixels), self.settings.keep)
        uncommon = uncommon_classes(context.pixels, self.settings.common)
        self.register_buffer("rare", uncommon, persistent=False)

    @torch.no_grad()
    def prepare_labelled(self, labelled: Batch) -> Batch:
        """Adaptive copy-paste: a class of the next frame is pasted into a share of the frames.

        The class is drawn with softmax(sqrt(1 - g)).
        """
        probabilities = class_sampling_probabilities(self.bank.value, 0.5) * self.rare
        donor_masks = labelled.masks.roll(-1, 0)
        region = copy_paste_region(donor_masks, probabilities, self.settings.copy_paste)
        images = torch.where(region[:, None], labelled.images.roll(-1, 0), labelled.images)
        masks = torch.where(region, donor_masks, labelled.masks)
        return Batch(images, masks, labelled.valid | region)

    @torch.no_grad()
    def observe_labelled(self, logits: Tensor, masks: Tensor) -> None:
        """Update the confidence bank."""
        self.bank.update(logits.float().softmax(1), masks)

    def mix(self, target: PseudoTarget) -> PseudoTarget:
        """Adaptive CutMix: a box around a pixel of the class drawn with softmax(1 - g)."""
        batch, height, width = target.valid.shape
        chance = MIXING_CHANCE if self._config.cutmix is None else self._config.cutmix
        if float(torch.rand(())) >= chance:
            return target
        chances = class_sampling_probabilities(self.bank.value, 1.0)
        drawn, partner = draw_partners(target.label, chances)
        label = target.label[partner]
        box = random_boxes(batch, height, width, label.device)
        # Where a frame shows none of the classes, any pixel is drawn.
        weight = (label == drawn[:, None, None]).flatten(1).float() + 1e-9
        pixel = torch.multinomial(weight, 1)[:, 0]
        return mix_frames(target, _center_boxes(box, pixel // width, pixel % width), partner)

    def reweight(self, target: PseudoTarget, selected: PixelWeights) -> PixelWeights:
        """Equalization sampling at the rate of a pixel's class, then dynamic re-weighting."""
        rates = equalization_sampling_rates(self.bank.value, 1.0, self.settings.least_keep)
        pixel_rates = rates[target.label.clamp(max=len(rates) - 1)]
        sampled = torch.rand_like(target.confidence) < pixel_rates
        return reweighted(selected, sampled * confidence_weight(target.confidence))


def uncommon_classes(pixels: Tensor, common: float) -> Tensor:
    """(C,) bool, the classes that have at most the share `common` of the labelled pixels (C,)."""
    return pixels / pixels.sum().clamp(min=1) <= common


def copy_paste_region(donor_masks: Tensor, probabilities: Tensor, share: float) -> Tensor:
    """Pixels (B, H, W) bool of one class of each donor mask, in a share of the frames.

    Args:
        donor_masks: (B, H, W) int64.
        probabilities: (C,), by which the class is drawn; a frame whose classes all have 0 gives
            nothing.
        share: of the frames that get anything at all.
    """
    drawn = draw_present_class(donor_masks, probabilities)
    chosen = torch.rand(len(donor_masks), device=donor_masks.device) < share
    return (donor_masks == drawn[:, None, None]) & (chosen & (drawn >= 0))[:, None, None]


def draw_present_class(label: Tensor, probabilities: Tensor) -> Tensor:
    """Draw a class that each (H, W) label shows with `probabilities` (C,).

    Returns:
        (B,) int64; -1 where no class that is present has a probability.
    """
    present = _present_classes(label, len(probabilities))
    weight = present * probabilities
    # The small numbers keep every row drawable; such draws are replaced by -1.
    drawn = torch.multinomial(weight + 1e-12 * present + 1e-30, 1)[:, 0]
    return torch.where(weight.sum(1) > 0, drawn, -1)


def draw_partners(label: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Draw for each (H, W) label a class that another label of the batch shows, and which one.

    Example: of four frames the third alone shows a bicycle; where a bicycle is drawn, the partner
    is the third frame, and for the third frame none is drawn.

    Args:
        label: (B, H, W) int64.
        probabilities: (C,), by which the class is drawn.

    Returns:
        (B,) int64 classes and (B,) int64 indices of labels, the own one in a batch of one.
    """
    present = _present_classes(label, len(probabilities))
    shown_by_others = present.sum(0) > present.int()  # (B, C)
    drawn = torch.multinomial(shown_by_others * probabilities + 1e-30, 1)[:, 0]
    candidates = present[:, drawn].T & ~torch.eye(len(label), dtype=torch.bool, device=label.device)
    # Where no other label shows anything, any one is taken.
    return drawn, torch.multinomial(candidates + 1e-9, 1)[:, 0]


def _present_classes(label: Tensor, classes: int) -> Tensor:
    """(B, C) bool, the classes that each (H, W) label shows."""
    class_ids = torch.arange(classes, device=label.device)
    return (label.flatten(1)[:, None] == class_ids[:, None]).any(2)


def _center_boxes(box: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Move each box (B, H, W) so that its middle comes to (row, column), as far as the frame goes.

    Example in one dimension: a box of 4 rows in a frame of 10 begins at row 8 - 2 = 6 to have its
    middle at row 8; at row 9 it would begin at 7 and end outside, so it begins at 10 - 4 = 6.
    """
    height, width = box.shape[1:]
    box_height, box_width = box.any(2).sum(1), box.any(1).sum(1)
    top = (row - box_height // 2).clamp(min=0).minimum(height - box_height)
    left = (column - box_width // 2).clamp(min=0).minimum(width - box_width)
    y, x = torch.arange(height, device=box.device), torch.arange(width, device=box.device)
    inside_y = (y >= top[:, None]) & (y < (top + box_height)[:, None])
    inside_x = (x >= left[:, None]) & (x < (left + box_width)[:, None])
    return inside_y[:, :, None] & inside_x[:, None, :]
