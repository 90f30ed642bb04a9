"""PrevMatch (Shin et al., 2024): earlier checkpoints, randomly weighted, give a second opinion.

Snapshots of the teacher are taken at equal distances after the warm-up; the paper's "best so far on
val" would need a val set that is not reported on. In each step one to three of them are drawn and
their logits on clean frames averaged with Dirichlet weights.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from edgeseg.distributed import distributed_mean
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.cross_entropy import upsample
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import confident
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.views import PseudoTarget, by_peer
from edgeseg.models import Output

SNAPSHOTS = 4  # the paper keeps 8; each costs the memory of a network
DRAWN = 3
CONFIDENCE = 0.9
FULL_AT = 0.5  # share of the steps at which the second opinion has its full weight


class PrevMatch(Plugin):
    """Adds the loss of the same view against what the snapshots say; needs the host's cross-entropy
    only.
    """

    taken: Tensor  # () int64, snapshots so far

    def __init__(self, kit: MethodContext) -> None:
        super().__init__()
        self.every = max(1, round(kit.config.steps * (1 - kit.config.warmup) / (2 * SNAPSHOTS)))
        self.first = round(kit.config.steps * kit.config.warmup)
        self.snapshots = nn.ModuleList(
            copy.deepcopy(kit.student).requires_grad_(False) for _ in range(SNAPSHOTS)
        )
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))
        self._select = confident(CONFIDENCE)

    def train(self, mode: bool = True) -> PrevMatch:
        super().train(mode)
        self.snapshots.eval()
        return self

    @torch.no_grad()
    def adjust_targets(self, method: Method, target: PseudoTarget, output: Output) -> PseudoTarget:
        """Ask the snapshots about the clean frames; what they say moves along as the last peer."""
        available = min(int(self.taken), SNAPSHOTS)
        if available == 0:
            return target
        logits = self._ensemble(method.normalize(target.images), available)
        size = (target.images.shape[2], target.images.shape[3])
        return replace(target, peers=(*target.peers, upsample(logits, size).softmax(1)))

    def auxiliary_loss(self, method: Method, seen: StepContext) -> Tensor | None:
        if int(self.taken) == 0:
            return None
        target = by_peer(seen.target, -1)
        selected = self._select(target, seen.progress)
        found = upsample(
            seen.output.logits[-len(target.images) :],
            (target.valid.shape[1], target.valid.shape[2]),
        )
        label = torch.where(selected.weight > 0, target.label, IGNORE)
        loss = nn.functional.cross_entropy(found, label, ignore_index=IGNORE, reduction="sum")
        return min(1.0, seen.progress / FULL_AT) * distributed_mean(loss, selected.divisor)

    @torch.no_grad()
    def _ensemble(self, images: Tensor, available: int) -> Tensor:
        drawn = torch.randperm(available)[: int(torch.randint(1, min(DRAWN, available) + 1, ()))]
        weights = torch.distributions.Dirichlet(torch.ones(len(drawn))).sample().tolist()
        return sum(
            (
                weight * self.snapshots[index](images).logits.float()
                for weight, index in zip(weights, drawn.tolist())
            ),
            torch.zeros((), device=images.device),
        )

    @torch.no_grad()
    def after_step(self, method: Method, step: int) -> None:
        if step + 1 > self.first and (step + 1 - self.first) % self.every == 0:
            slot = self.snapshots[int(self.taken) % SNAPSHOTS]
            slot.load_state_dict(method.teacher.state_dict())
            self.taken += 1
