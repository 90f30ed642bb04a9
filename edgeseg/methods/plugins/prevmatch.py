"""PrevMatch (Shin et al., 2024): earlier checkpoints, randomly weighted, give a second opinion on every view.

Snapshots of the teacher are taken at equal distances after the warm-up; the paper's "best so far on val" would need a
val set that is not reported on. In each step one to three of them are drawn and their logits averaged with Dirichlet
weights.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from edgeseg.losses.supervised import upsample
from edgeseg.losses.world import ratio
from edgeseg.methods.method import Kit, Method
from edgeseg.methods.plugin import Plugin, Seen
from edgeseg.methods.select import confident
from edgeseg.methods.views import believed

SNAPSHOTS = 4  # the paper keeps 8; each costs the memory of a network
DRAWN = 3
CONFIDENCE = 0.9
FULL_AT = 0.5  # share of the steps at which the second opinion has its full weight


class PrevMatch(Plugin):
    """Adds the loss of the same view against what the snapshots say; needs the host's cross-entropy only."""

    def __init__(self, kit: Kit) -> None:
        super().__init__()
        self.steps = kit.config.steps
        self.every = max(1, round(kit.config.steps * (1 - kit.config.warmup) / (2 * SNAPSHOTS)))
        self.first = round(kit.config.steps * kit.config.warmup)
        self.snapshots = nn.ModuleList(copy.deepcopy(kit.student).requires_grad_(False) for _ in range(SNAPSHOTS))
        self._select = confident(CONFIDENCE)

    def train(self, mode: bool = True) -> PrevMatch:
        super().train(mode)
        self.snapshots.eval()
        return self

    def extra(self, method: Method, seen: Seen) -> Tensor | None:
        available = min(self._taken(round(seen.progress * self.steps)), SNAPSHOTS)
        if available == 0:
            return None
        logits = self._ensemble(seen.images[-len(seen.target.images) :], available)
        target = believed(type(seen.labelled)(seen.target.images, seen.target.label, seen.target.valid), logits)
        selected = self._select(target, seen.progress)
        found = upsample(seen.output.logits[-len(target.images) :], (target.valid.shape[1], target.valid.shape[2]))
        label = torch.where(selected.weight > 0, target.label, 255)
        loss = nn.functional.cross_entropy(found, label, ignore_index=255, reduction="sum")
        return min(1.0, seen.progress / FULL_AT) * ratio(loss, selected.divisor)

    @torch.no_grad()
    def _ensemble(self, images: Tensor, available: int) -> Tensor:
        drawn = torch.randperm(available)[: int(torch.randint(1, min(DRAWN, available) + 1, ()))]
        weights = torch.distributions.Dirichlet(torch.ones(len(drawn))).sample().tolist()
        return sum(
            (weight * self.snapshots[index](images).logits.float() for weight, index in zip(weights, drawn.tolist())),
            torch.zeros((), device=images.device),
        )

    @torch.no_grad()
    def after_step(self, method: Method, step: int) -> None:
        if self._taken(step + 1) > self._taken(step):
            slot = self.snapshots[self._taken(step) % SNAPSHOTS]
            slot.load_state_dict(method.teacher.state_dict())

    def _taken(self, done: int) -> int:
        """Snapshots taken when `done` steps are done."""
        return max(0, done - self.first) // self.every
