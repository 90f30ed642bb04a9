"""U2PL's contrastive loss on any host with a representation head (Wang et al., CVPR 2022, arXiv
2203.03884, 3.3).

Unreliable pixels still tell which classes they are not. Follows the paper's formulas; where the
official code differs (methods.md 2.1, notes a to i) the paper wins, and r_l, r_h are clamped for
few classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.distributed import all_reduce_sum
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.u2pl_contrastive import (
    NegativeBank,
    anchor_mask,
    info_nce,
    negative_mask,
    prototypes,
    rank_bounds,
)
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import partition
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.models import Output

NEW_NEGATIVES = 256  # pushed for each class and step, so that the bank remembers many steps


class U2PLContrast(Plugin):
    """lambda_c L_c (eqs. 5 to 14); one process of several keeps the same bank as the others."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__()
        self.settings = kit.config.u2pl
        self.bank = NegativeBank(len(kit.pixels), self.settings.bank, kit.config.rep_dim)

    def auxiliary_loss(self, method: Method, seen: StepContext) -> Tensor | None:
        assert seen.output.rep is not None, "the student has no representation head"
        with torch.no_grad():
            theirs = method.teacher(seen.images)
            reliable = partition(seen.target, self.settings, seen.progress)
        with torch.autocast(
            seen.images.device.type, enabled=False
        ):  # cosines near 1 need more than bfloat16's digits
            return self.settings.weight * self.contrast(seen, theirs, reliable)

    def contrast(self, seen: StepContext, theirs: Output, reliable: Tensor) -> Tensor:
        """L_c at the representation's resolution, which has a fraction of the pixels; `reliable` is
        (B, H, W) bool.
        """
        assert seen.output.rep is not None and theirs.rep is not None
        rep = seen.output.rep.float()
        with torch.no_grad():
            anchors, negatives = self.masks(seen, theirs, reliable, (rep.shape[2], rep.shape[3]))
            teacher_rep = _pixels(theirs.rep.float())
            positive = prototypes(teacher_rep, anchors)
            self.bank.push(teacher_rep, negatives, NEW_NEGATIVES)
            negative = self.bank.draw(self.settings.negatives)
            valid = (all_reduce_sum(anchors.any(0).long()) > 0) & (self.bank.size > 0)
            # One class alone has nothing to be told from: its loss would only push features apart.
            valid = valid & (valid.sum() > 1)
        return info_nce(
            _pixels(rep),
            anchors,
            positive,
            negative,
            valid,
            self.settings.anchors,
            self.settings.temperature,
        )

    def masks(
        self, seen: StepContext, theirs: Output, reliable: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Anchors and negatives of each class, (P, C) bool, P pixels of all frames at `size`."""
        masks, target = seen.labelled.masks, seen.target
        label = torch.where(reliable, target.label, IGNORE)
        near = _shrink(torch.cat([masks, label]), size)
        trusted = _shrink(torch.cat([masks != IGNORE, reliable]), size).flatten()
        unreliable = _shrink(
            torch.cat([torch.zeros_like(masks, dtype=torch.bool), target.valid & ~reliable]), size
        )
        labelled = torch.zeros_like(near, dtype=torch.bool)
        labelled[: len(masks)] = True
        chance = _pixels(F.interpolate(theirs.logits.float().softmax(1), size=size, mode="area"))
        low, high = rank_bounds(chance.shape[1], self.settings.low_rank, self.settings.high_rank)
        anchors = anchor_mask(near.flatten(), chance, trusted, self.settings.threshold)
        return anchors, negative_mask(
            near.flatten(), chance, labelled.flatten(), unreliable.flatten(), low, high
        )


def _pixels(maps: Tensor) -> Tensor:
    """(B, D, h, w) -> (B h w, D)."""
    return maps.movedim(1, -1).flatten(0, 2)


def _shrink(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) -> (B, *size), nearest."""
    return F.interpolate(maps[:, None].float(), size=size, mode="nearest-exact")[:, 0].to(
        maps.dtype
    )
