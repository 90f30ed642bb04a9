"""PrevMatch (Shin et al., 2024): randomly weighted earlier checkpoints give a second target.

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
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import confident_pixels
from edgeseg.methods.framework.plugin import Plugin, StepContext
from edgeseg.methods.framework.views import PseudoTarget, peer_target
from edgeseg.models import Output

SNAPSHOTS = 4  # the paper keeps 8; each costs the memory of a network
MAX_DRAWN = 3
CONFIDENCE = 0.9
FULL_WEIGHT_AT = 0.5  # progress at which the second target's loss has its full weight


class PrevMatch(Plugin):
    """Adds the cross-entropy of the same view against the snapshots' confident labels.

    Attributes:
        taken: () int64, number of snapshots taken so far.
    """

    taken: Tensor

    def __init__(self, context: MethodContext) -> None:
        super().__init__()
        config = context.config
        self.every = max(1, round(config.steps * (1 - config.warmup) / (2 * SNAPSHOTS)))
        self.first = round(config.steps * config.warmup)
        self.snapshots = nn.ModuleList(
            copy.deepcopy(context.student).requires_grad_(False) for _ in range(SNAPSHOTS)
        )
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))
        self._select = confident_pixels(CONFIDENCE)

    def train(self, mode: bool = True) -> PrevMatch:
        super().train(mode)
        self.snapshots.eval()
        return self

    @torch.no_grad()
    def adjust_targets(self, method: Method, target: PseudoTarget, output: Output) -> PseudoTarget:
        """Add the snapshots' prediction of the clean frames as the last peer."""
        available = min(int(self.taken), SNAPSHOTS)
        if available == 0:
            return target
        logits = self._ensemble_logits(method.normalize(target.images), available)
        size = (target.images.shape[2], target.images.shape[3])
        return replace(target, peers=(*target.peers, upsample(logits, size).softmax(1)))

    def auxiliary_loss(self, method: Method, step_context: StepContext) -> Tensor | None:
        """Cross-entropy against the snapshots' confident labels, ramped up over the run."""
        if int(self.taken) == 0:
            return None
        target = peer_target(step_context.target, -1)
        selected = self._select(target, step_context.progress)
        logits = upsample(step_context.output.logits[-len(target.images) :], target.size)
        label = torch.where(selected.weight > 0, target.label, IGNORE)
        loss = nn.functional.cross_entropy(logits, label, ignore_index=IGNORE, reduction="sum")
        ramp = min(1.0, step_context.progress / FULL_WEIGHT_AT)
        return ramp * distributed_mean(loss, selected.divisor)

    @torch.no_grad()
    def _ensemble_logits(self, images: Tensor, available: int) -> Tensor:
        """Logits of some snapshots on normalized images, averaged with random weights."""
        order = torch.randperm(available)
        drawn = order[: int(torch.randint(1, min(MAX_DRAWN, available) + 1, ()))]
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
        """Copy the teacher into the oldest snapshot when one is due."""
        if step + 1 > self.first and (step + 1 - self.first) % self.every == 0:
            slot = self.snapshots[int(self.taken) % SNAPSHOTS]
            slot.load_state_dict(method.teacher.state_dict())
            self.taken += 1
