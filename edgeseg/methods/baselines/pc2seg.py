"""PC2Seg (Zhong et al., ICCV 2021): pixel contrast and consistency of clean and strong views.

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
from edgeseg.losses.baselines.cac_directional import directional_contrast
from edgeseg.losses.consistency import soft_cross_entropy
from edgeseg.losses.shared.memory_bank import MemoryBank
from edgeseg.losses.shared.resize import resize_nearest
from edgeseg.losses.u2pl_contrastive import one_hot
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import all_pixels, step_result
from edgeseg.methods.framework.views import PseudoTarget, cut_out, pseudo_target

SHARPENING_TEMPERATURE = 0.5  # of the soft label
CONTRAST_WEIGHT, CONTRAST_TEMPERATURE = 0.1, 0.1
PLACES = 512  # pulled in each frame
BANK_LENGTH, PUSHED, NEGATIVES = 2048, 256, 128  # kept, pushed and drawn for each class


class PC2Seg(OnlineMethod):
    """2B images with gradient, 2B without."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__(
            context,
            (),
            select=all_pixels,
            pixel_loss=_sharpened_cross_entropy,
            target_source="self",
        )
        self.bank = MemoryBank(len(context.pixels), BANK_LENGTH, context.config.rep_dim)
        self._confidence_threshold = context.confidence_threshold()

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.warmup_step(labelled)
        number = len(labelled.images)
        clean_output = self.teacher_forward(unlabelled.images)
        if self.target_source == "self":
            clean_output = self.predict_in_eval_mode(self.student, unlabelled.images)
        target = self.strong_view(pseudo_target(unlabelled, clean_output.logits), labelled)
        if self._config.strong:
            target = cut_out(target)
        output = self.student(self.normalize(torch.cat([labelled.images, target.images])))
        assert output.rep is not None and clean_output.rep is not None, (
            "the student has no representation head"
        )

        supervised = self.labelled_loss(output.logits[:number], labelled)
        consistency, selected = self.unlabelled_loss(output.logits[number:], target, progress)
        contrast = CONTRAST_WEIGHT * self._contrast(
            output.rep[number:], clean_output.rep, target, unlabelled.valid
        )
        loss = supervised + weight * (consistency + contrast)
        return step_result(loss, supervised, consistency, contrast, target, selected)

    def _contrast(
        self, rep: Tensor, clean_rep: Tensor, target: PseudoTarget, clean_valid: Tensor
    ) -> Tensor:
        """The contrastive loss () of the strong view's representations against the clean view's.

        Args:
            rep, clean_rep: (B, D, h, w).
            target: of the strong view.
            clean_valid: (B, H, W) bool, of the clean view.
        """
        size = (rep.shape[2], rep.shape[3])
        confidence, label = F.interpolate(target.probability, size=size, mode="area").max(1)
        visible = resize_nearest(target.valid, size)
        known = resize_nearest(clean_valid, size) & (confidence > self._confidence_threshold)

        # A few places of each frame are pulled.
        lottery = torch.rand(known.flatten(1).shape, device=rep.device)
        places = lottery.topk(min(PLACES, known[0].numel())).indices
        features, clean_features = (
            _take(maps.float().flatten(2), places) for maps in (rep, clean_rep)
        )
        place_confidence, place_label, place_visible = (
            _take(maps.flatten(1)[:, None], places)[:, 0] for maps in (confidence, label, visible)
        )
        clean_pixels = clean_rep.float().movedim(1, -1).flatten(0, 2)
        of_class = one_hot(label.flatten(), len(self.bank.size)) & known.flatten()[:, None]
        self.bank.push(clean_pixels, of_class, PUSHED)
        negatives = self.bank.draw(NEGATIVES)
        class_ids = torch.arange(len(negatives), device=label.device)
        bank_labels = class_ids.masked_fill(self.bank.size == 0, IGNORE)
        # The strong view's confidence is 0, so that it alone moves.
        return directional_contrast(
            features,
            clean_features,
            torch.zeros_like(place_confidence),
            place_confidence,
            place_label,
            place_label,
            place_visible,
            negatives.flatten(0, 1),
            bank_labels.repeat_interleave(NEGATIVES),
            self._confidence_threshold,
            CONTRAST_TEMPERATURE,
        )


def _take(maps: Tensor, index: Tensor) -> Tensor:
    """(B, D, P) maps at (B, N) places as rows, (B N, D)."""
    return maps.gather(2, index[:, None].expand(-1, maps.shape[1], -1)).movedim(1, 2).flatten(0, 1)


def _sharpened_cross_entropy(logits: Tensor, target: PseudoTarget) -> Tensor:
    sharpened = F.normalize(target.probability.pow(1 / SHARPENING_TEMPERATURE), p=1.0, dim=1)
    return soft_cross_entropy(logits, sharpened)


def pc2seg(context: MethodContext) -> Method:
    """PC2Seg in our reading of its paper; there is no official code to compare with."""
    return PC2Seg(context)
