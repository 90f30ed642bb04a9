"""PS-MT (Liu et al., CVPR 2022, arXiv 2111.12903): two teachers that move in turns, and adversarial
noise on features.

The mean of both teachers labels; of the one whose turn it is not, only its seven most likely
classes count. T-VAT pushes the student's features to where the teachers' decoders change their mind
most. Only one network can be shipped: that is the student's ordinary average, where the paper
infers with the mean of both teachers.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from edgeseg.methods.framework.ema import BatchNormTracker, update_ema
from edgeseg.methods.framework.feature_perturbation import adversarial_noise
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import PixelWeights
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.framework.views import PseudoTarget, cutmix
from edgeseg.methods.plugins import plugins
from edgeseg.models import Network, Output

CONFIDENCE = 0.6
TOP = 7
TURNS = 20  # how often the teachers take turns in a run; in the paper every epoch of footage
LENGTH, RADIUS = 0.1, 2.0  # of the probing step and of the noise


class PSMT(OnlineMethod):
    """Cross-entropy weighted by confidence on confident pixels."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__(kit, plugins(kit), select=_sure, region=cutmix(kit.config.cutmix))
        self.pair = nn.ModuleList(
            copy.deepcopy(kit.student).requires_grad_(False).eval() for _ in range(2)
        )
        self._trackers = [BatchNormTracker(network) for network in self._networks()]
        self._turn = max(1, kit.config.steps // TURNS)
        self._steps = kit.config.steps
        with torch.no_grad():
            for parameter in self._networks()[
                1
            ].classifier.parameters():  # or both would say the same for long
                parameter.add_(0.01 * torch.randn_like(parameter))

    def _networks(self) -> list[Network]:
        return [network for network in self.pair if isinstance(network, Network)]

    def train(self, mode: bool = True) -> PSMT:
        super().train(mode)
        self.pair.eval()
        return self

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            for network, tracker in zip(self._networks(), self._trackers):
                with tracker, torch.no_grad():
                    network(self.normalize(labelled.images))
            return self.without_footage(labelled)
        labelled = self.prepare(labelled)
        core = round(progress * self._steps) // self._turn % 2
        target = self.view(
            self.refine(unlabelled, self._ask_both(unlabelled.images, core)), labelled
        )
        number = len(labelled.images)
        images = self.normalize(torch.cat([labelled.images, target.images]))
        features = self.student.encode(images)
        output = self.student.forward_head(
            adversarial_noise(self._decode, features, LENGTH, RADIUS)
        )

        supervised = self.supervise(output.logits[:number], labelled)
        consistency, selected = self.unlabelled_loss(output.logits[number:], target, progress)
        extra = self.extras(
            StepContext(images, output, labelled, target, unlabelled.images, progress)
        )
        loss = supervised + weight * (consistency + extra)
        return self.report(loss, supervised, consistency, extra, target, selected)

    @torch.no_grad()
    def _ask_both(self, images: Tensor, core: int) -> Output:
        own = self.teacher_forward(images)
        found = []
        for network, tracker in zip(self._networks(), self._trackers):
            with tracker:
                found.append(network(self.normalize(images)).logits.float())
        trusted, other = found[core], found[1 - core]
        least = other.topk(min(TOP, other.shape[1]), dim=1).values[:, -1:]
        return Output(
            (trusted + torch.where(other >= least, other, trusted)) / 2, own.features, own.rep
        )

    def _decode(self, features: list[Tensor]) -> Tensor:
        one, other = self._networks()
        return (one.decode(features) + other.decode(features)) / 2

    def after_step(self, step: int) -> None:
        super().after_step(step)
        progress = step / self._steps
        moving = step // self._turn % 2
        for index, network in enumerate(self._networks()):
            # While there are labelled frames only, each teacher is warmed up, a step apart from the
            # other.
            if index == moving if self.schedule.at(progress) > 0 else step % 2 == index:
                update_ema(network, self.student, min(1 - 1 / (step + 1), self.ema))


def _sure(target: PseudoTarget, progress: float) -> PixelWeights:
    kept = target.valid & (target.confidence >= CONFIDENCE)
    return PixelWeights(kept * target.confidence, kept.sum().float())


def psmt(kit: MethodContext) -> Method:
    """As described."""
    return PSMT(kit)
