"""U2PL (Wang et al., CVPR 2022, arXiv 2203.03884): unreliable pixels still tell which classes they are not.

Follows the paper's formulas. Where the official code differs (methods.md 2.1, notes a to i) the paper wins; labels and
entropies come from the clean view in eval mode, and r_l, r_h are clamped for few classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.config import U2PLConfig
from edgeseg.losses.contrast import (
    NegativeBank,
    anchor_mask,
    info_nce,
    negative_mask,
    prototypes,
    rank_bounds,
)
from edgeseg.losses.reliability import class_thresholds, partition_share, threshold
from edgeseg.losses.supervised import cross_entropy, upsample
from edgeseg.methods.cutmix_mt import histogram
from edgeseg.methods.method import Batch, Method, Schedule, StepResult
from edgeseg.methods.views import Target, look
from edgeseg.models import Network, Output

LARGEST_BOOST = 2.0  # of N / N_reliable, which is unbounded when nearly everything is ignored
NEW_NEGATIVES = 256  # pushed for each class and step, so that the bank remembers many steps


class U2PL(Method):
    """L_s + lambda_u L_u + lambda_c L_c (eq. 1)."""

    def __init__(
        self, student: Network, pixels: Tensor, ema: float, class_balance: float, *,
        settings: U2PLConfig, rep_dim: int, schedule: Schedule, cutmix: float, colour: bool,
    ) -> None:  # fmt: skip
        super().__init__(student, pixels, ema, class_balance)
        self.settings, self.schedule = settings, schedule
        self.cutmix, self.colour = cutmix, colour
        self.bank = NegativeBank(len(pixels), settings.bank, rep_dim)

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.supervised_step(labelled)
        target = look(self, unlabelled, colour=self.colour, cutmix=self.cutmix)
        number = len(labelled.images)
        images = self.normalise(torch.cat([labelled.images, target.images]))
        output = self.student(images)
        supervised = self.supervised(output.logits[:number], labelled.masks)

        reliable, gamma = self.partition(target, partition_share(self.settings.alpha, progress))
        label = target.label.masked_fill(~reliable, 255)
        share = reliable.sum() / target.valid.sum().clamp(min=1)
        found = upsample(output.logits[number:], (label.shape[1], label.shape[2]))
        boost = (1 / share.clamp(min=1e-6)).clamp(max=LARGEST_BOOST)
        consistency = boost * cross_entropy(found, label, self.pseudo_weight)

        contrast = self.contrast(images, output, labelled.masks, target, label, reliable)
        loss = supervised + weight * (consistency + self.settings.weight * contrast)
        logs = {
            "supervised": supervised,
            "unlabelled": consistency,
            "contrast": contrast,
            "gamma": gamma,
            "kept": share,
        }
        logs |= {"pseudo": histogram(label, len(self.class_weight))}
        return StepResult(loss, {name: value.detach() for name, value in logs.items()})

    def partition(self, target: Target, share: float) -> tuple[Tensor, Tensor]:
        """Reliable pixels (B, H, W) bool, and the threshold (), of all pixels or the mean over classes.

        With one threshold for all, nearly every pixel of a rare class lies above it: the class gets no pseudo-labels
        and is forgotten. With `per_class` each class keeps the same share of its pixels.
        """
        if not self.settings.per_class:
            gamma = threshold(target.entropy, target.valid, share)
            return target.valid & (target.entropy < gamma), gamma
        classes = len(self.class_weight)
        gammas = class_thresholds(target.entropy, target.label, target.valid, share, classes)
        own = gammas[target.label.clamp(0, classes - 1)]
        return target.valid & (target.entropy < own), gammas.clamp(max=1).mean()

    def contrast(
        self, images: Tensor, output: Output, masks: Tensor, target: Target, label: Tensor, reliable: Tensor
    ) -> Tensor:
        """L_c at the representation's resolution, which has a fraction of the pixels."""
        assert output.rep is not None
        with torch.no_grad():
            seen = self.teacher(images)
        with torch.autocast(images.device.type, enabled=False):  # cosines near 1 need more than bfloat16's digits
            return self._contrast(output.rep.float(), seen, masks, target, label, reliable)

    def _contrast(
        self, rep: Tensor, seen: Output, masks: Tensor, target: Target, label: Tensor, reliable: Tensor
    ) -> Tensor:
        size = (rep.shape[2], rep.shape[3])
        with torch.no_grad():
            near = _shrink(torch.cat([masks, label]), size)
            trusted = _shrink(torch.cat([masks != 255, reliable]), size).flatten()
            unreliable = _shrink(torch.cat([torch.zeros_like(masks, dtype=torch.bool), target.valid & ~reliable]), size)
            labelled = torch.zeros_like(near, dtype=torch.bool)
            labelled[: len(masks)] = True
            chance = _pixels(F.interpolate(seen.logits.float().softmax(1), size=size, mode="area"))
            assert seen.rep is not None
            theirs = _pixels(seen.rep.float())
            low, high = rank_bounds(chance.shape[1], self.settings.low_rank, self.settings.high_rank)
            anchors = anchor_mask(near.flatten(), chance, trusted, self.settings.threshold)
            negatives = negative_mask(near.flatten(), chance, labelled.flatten(), unreliable.flatten(), low, high)
            positive = prototypes(theirs, anchors)
            self.bank.push(theirs, negatives, NEW_NEGATIVES)
            negative = self.bank.draw(self.settings.negatives)
            valid = anchors.any(0) & (self.bank.size > 0)
            # One class alone has nothing to be told from: its loss would only push features apart.
            valid = valid & (valid.sum() > 1)
        return info_nce(
            _pixels(rep), anchors, positive, negative, valid, self.settings.anchors, self.settings.temperature
        )


def _pixels(maps: Tensor) -> Tensor:
    """(B, D, h, w) -> (B h w, D)."""
    return maps.movedim(1, -1).flatten(0, 2)


def _shrink(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) -> (B, *size), nearest."""
    return F.interpolate(maps[:, None].float(), size=size, mode="nearest-exact")[:, 0].to(maps.dtype)
