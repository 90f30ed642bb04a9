"""PC2Seg (Zhong et al., ICCV 2021): a strong view gets the label and the features of the clean one,
pixel by pixel.

Labels: soft cross-entropy with the student's sharpened softmax of the clean frame. Features: the
representation of a pixel in the strong view is pulled to that of the same pixel in the clean view
and pushed from pixels of other classes. No code is public, so this is our reading: negatives are
drawn from a bank with equally many of each pseudo-label, where the paper takes other frames of the
batch; a pixel is never pushed from its own class; nothing is mixed into the strong view, since both
views have to show the same places.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.cac_directional import directional_contrast
from edgeseg.losses.consistency import soft_cross_entropy
from edgeseg.losses.u2pl_contrastive import NegativeBank, one_hot
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import everything
from edgeseg.methods.framework.views import PseudoTarget, erase, pseudo_target

SHARPEN = 0.5  # temperature of the soft label
WEIGHT, TEMPERATURE = 0.1, 0.1  # of the contrast
CONFIDENCE = 0.75  # least, of a pixel that is pulled or kept as a negative
PLACES = 512  # pulled in each frame
BANK, FRESH, NEGATIVES = 2048, 256, 128  # kept, taken in and drawn for each class


class PC2Seg(OnlineMethod):
    """2B images with gradient, 2B without."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__(kit, (), select=everything, pixel=_error, source="self")
        self.bank = NegativeBank(len(kit.pixels), BANK, kit.config.rep_dim)
        self._least = CONFIDENCE if kit.config.confidence is None else kit.config.confidence

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.without_footage(labelled)
        number = len(labelled.images)
        theirs = self.teacher_forward(unlabelled.images)
        if self.source == "self":
            theirs = self.student_predict(self.student, unlabelled.images)
        target = self.view(pseudo_target(unlabelled, theirs.logits), labelled)
        if self._color:
            target = erase(target)
        output = self.student(self.normalize(torch.cat([labelled.images, target.images])))
        assert output.rep is not None and theirs.rep is not None, (
            "the student has no representation head"
        )

        supervised = self.supervise(output.logits[:number], labelled)
        consistency, selected = self.unlabelled_loss(output.logits[number:], target, progress)
        contrast = WEIGHT * self._contrast(
            output.rep[number:], theirs.rep, target, unlabelled.valid
        )
        loss = supervised + weight * (consistency + contrast)
        return self.report(loss, supervised, consistency, contrast, target, selected)

    def _contrast(
        self, ours: Tensor, theirs: Tensor, target: PseudoTarget, valid: Tensor
    ) -> Tensor:
        """The loss () of representations (B, D, h, w) of the strong and of the clean view, which is
        valid (B, H, W).
        """
        size = (ours.shape[2], ours.shape[3])
        confidence, label = F.interpolate(target.probability, size=size, mode="area").max(1)
        visible = _shrink(target.valid, size)
        known = _shrink(valid, size) & (confidence > self._least)

        # A few places of each frame are pulled; `confidence` of the strong view's side is 0, so
        # that it alone moves.
        chosen = (
            torch.rand(known.flatten(1).shape, device=ours.device)
            .topk(min(PLACES, known[0].numel()))
            .indices
        )
        one, goal = (_take(maps.float().flatten(2), chosen) for maps in (ours, theirs))
        sure, names, counts = (
            _take(maps.flatten(1)[:, None], chosen)[:, 0] for maps in (confidence, label, visible)
        )
        pixels = theirs.float().movedim(1, -1).flatten(0, 2)
        self.bank.push(
            pixels, one_hot(label.flatten(), len(self.bank.size)) & known.flatten()[:, None], FRESH
        )
        negative = self.bank.draw(NEGATIVES)
        other = torch.arange(len(negative), device=label.device).masked_fill(
            self.bank.size == 0, IGNORE
        )
        return directional_contrast(
            one,
            goal,
            torch.zeros_like(sure),
            sure,
            names,
            names,
            counts,
            negative.flatten(0, 1),
            other.repeat_interleave(NEGATIVES),
            self._least,
            TEMPERATURE,
        )


def _take(maps: Tensor, index: Tensor) -> Tensor:
    """(B, D, P) at (B, N): (B N, D)."""
    return maps.gather(2, index[:, None].expand(-1, maps.shape[1], -1)).movedim(1, 2).flatten(0, 1)


def _shrink(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) bool -> (B, *size), nearest."""
    return F.interpolate(mask[:, None].float(), size=size, mode="nearest-exact")[:, 0] > 0.5


def _error(logits: Tensor, target: PseudoTarget) -> Tensor:
    sharp = F.normalize(target.probability.pow(1 / SHARPEN), p=1.0, dim=1)
    return soft_cross_entropy(logits, sharp)


def pc2seg(kit: MethodContext) -> Method:
    """As described."""
    return PC2Seg(kit)
