"""U2PL's contrastive loss on any host with a representation head.

Unreliable pixels still tell which classes they are not (Wang et al., CVPR 2022, arXiv 2203.03884,
section 3.3). It follows the paper's formulas; where the
official code differs, as in how it selects candidate negatives, the paper wins. r_l and r_h are
clamped for few classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import all_reduce_sum
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.shared.memory_bank import MemoryBank
from edgeseg.losses.shared.resize import resize_nearest
from edgeseg.losses.u2pl_contrastive import (
    anchor_mask,
    info_nce,
    negative_mask,
    prototypes,
    rank_bounds,
)
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import reliable_pixels
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.models import Output

PUSHED_NEGATIVES = 256  # of each class and step, so that the bank remembers many steps


class U2PLContrast(Plugin):
    """lambda_c L_c (eqs. 5 to 14); the memory bank is the same in all processes of a run."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__()
        self.settings = context.config.u2pl
        self.bank = MemoryBank(len(context.pixels), self.settings.bank, context.config.rep_dim)

    def auxiliary_loss(self, method: Method, step_context: StepContext) -> Tensor | None:
        """lambda_c L_c; the teacher has a second pass, over the mixed frames."""
        assert step_context.output.rep is not None, "the student has no representation head"
        with torch.no_grad():
            teacher_output = method.teacher(step_context.images)
            reliable = reliable_pixels(step_context.target, self.settings, step_context.progress)
        # Cosines near 1 need more than bfloat16's digits.
        with torch.autocast(step_context.images.device.type, enabled=False):
            return self.settings.weight * self.contrast(step_context, teacher_output, reliable)

    def contrast(
        self, step_context: StepContext, teacher_output: Output, reliable: Tensor
    ) -> Tensor:
        """L_c () at the resolution of the representation, which has a fraction of the pixels.

        Args:
            reliable: (B, H, W) bool, reliable unlabelled pixels.
        """
        assert step_context.output.rep is not None and teacher_output.rep is not None
        rep = step_context.output.rep.float()
        with torch.no_grad():
            size = (rep.shape[2], rep.shape[3])
            anchors, negatives = self.candidates(step_context, teacher_output, reliable, size)
            teacher_rep = _by_pixel(teacher_output.rep.float())
            positive = prototypes(teacher_rep, anchors)
            self.bank.push(teacher_rep, negatives, PUSHED_NEGATIVES)
            negative = self.bank.draw(self.settings.negatives)
            has_anchors = all_reduce_sum(anchors.any(0).long()) > 0
            valid_class = has_anchors & (self.bank.size > 0)
            # One class alone has nothing to be told from: its loss would only push features apart.
            valid_class = valid_class & (valid_class.sum() > 1)
        return info_nce(
            _by_pixel(rep),
            anchors,
            positive,
            negative,
            valid_class,
            self.settings.anchors,
            self.settings.temperature,
        )

    def candidates(
        self,
        step_context: StepContext,
        teacher_output: Output,
        reliable: Tensor,
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """Candidate anchors and negatives of each class, (P, C) bool.

        P are the pixels of all labelled and unlabelled frames at the resolution `size`.
        """
        masks, target = step_context.labelled.masks, step_context.target
        pseudo_label = torch.where(reliable, target.label, IGNORE)
        label = resize_nearest(torch.cat([masks, pseudo_label]), size)
        labelled_or_reliable = resize_nearest(torch.cat([masks != IGNORE, reliable]), size)
        unreliable = resize_nearest(
            torch.cat([torch.zeros_like(masks, dtype=torch.bool), target.valid & ~reliable]), size
        )
        labelled = torch.zeros_like(label, dtype=torch.bool)
        labelled[: len(masks)] = True
        probability = _by_pixel(
            F.interpolate(teacher_output.logits.float().softmax(1), size=size, mode="area")
        )
        low_rank, high_rank = rank_bounds(
            probability.shape[1], self.settings.low_rank, self.settings.high_rank
        )
        anchors = anchor_mask(
            label.flatten(), probability, labelled_or_reliable.flatten(), self.settings.threshold
        )
        negatives = negative_mask(
            label.flatten(),
            probability,
            labelled.flatten(),
            unreliable.flatten(),
            low_rank,
            high_rank,
        )
        return anchors, negatives


def _by_pixel(maps: Tensor) -> Tensor:
    """(B, D, h, w) maps as one row of features a pixel, (B h w, D)."""
    return maps.movedim(1, -1).flatten(0, 2)
