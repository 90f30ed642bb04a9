"""PS-MT (Liu et al., CVPR 2022, arXiv 2111.12903): two teachers and adversarial feature noise.

The teachers move in turns, and the mean of both labels; of the one that does not move, only the
seven most likely classes count. T-VAT pushes the student's features to where the teachers' decoders
change their prediction most. Only one network can be shipped: that is the student's ordinary
average, where the paper infers with the mean of both teachers.

Simplified: both teachers are averages of one student from the start, where the paper warms up each
as a network of its own; frames are mixed by a box of half the area, there by one of Beta(4, 4); the
average forgets by 0.99, there by 0.996; labelled frames keep their colors.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from edgeseg.methods.framework.ema import BatchNormTracker, update_ema
from edgeseg.methods.framework.feature_perturbation import adversarial_noise
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.mix_regions import cutmix
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import PixelSelector, PixelWeights, step_result
from edgeseg.methods.framework.plugin import StepContext
from edgeseg.methods.framework.views import PseudoTarget
from edgeseg.methods.plugins import make_plugins
from edgeseg.models import Network, Output

TOP_CLASSES = 7
TURNS = 20  # of the teachers in a run; in the paper they change every epoch of footage
XI, RADIUS = 0.1, 2.0  # lengths of the power iteration's step and of the noise


class PSMT(OnlineMethod):
    """Cross-entropy on confident pixels, weighted by their confidence."""

    def __init__(self, context: MethodContext) -> None:
        super().__init__(
            context,
            make_plugins(context),
            select=_weighted_by_confidence(context.confidence_threshold()),
            mix_region=cutmix(context.mixing_chance()),
        )
        self.pair = nn.ModuleList(
            copy.deepcopy(context.student).requires_grad_(False).eval() for _ in range(2)
        )
        self._trackers = [BatchNormTracker(network) for network in self._teachers()]
        self._turn = max(1, context.config.steps // TURNS)
        self._steps = context.config.steps
        self._updates = self._plan_updates()

    def _teachers(self) -> list[Network]:
        return [network for network in self.pair if isinstance(network, Network)]

    def train(self, mode: bool = True) -> PSMT:
        super().train(mode)
        self.pair.eval()
        return self

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            for teacher, tracker in zip(self._teachers(), self._trackers):
                with tracker, torch.no_grad():
                    teacher(self.normalize(labelled.images))
            return self.warmup_step(labelled)
        labelled = self.prepare_labelled(labelled)
        moving = round(progress * self._steps) // self._turn % 2
        clean = self.make_targets(unlabelled, self._predict_with_both(unlabelled.images, moving))
        target = self.strong_view(clean, labelled)
        number = len(labelled.images)
        images = self.normalize(torch.cat([labelled.images, target.images]))
        features = self.student.encode(images)
        noisy = adversarial_noise(self._decode_with_both, features, XI, RADIUS)
        output = self.student.forward_head(noisy)

        supervised = self.labelled_loss(output.logits[:number], labelled)
        consistency, selected = self.unlabelled_loss(output.logits[number:], target, progress)
        auxiliary = self.auxiliary_losses(
            StepContext(images, output, labelled, target, unlabelled.images, progress)
        )
        loss = supervised + weight * (consistency + auxiliary)
        return step_result(loss, supervised, consistency, auxiliary, target, selected)

    @torch.no_grad()
    def _predict_with_both(self, images: Tensor, moving: int) -> Output:
        """Mean logits of both teachers on clean images 0..1; `moving` is the index of one.

        Where a class is not among the other teacher's most likely ones, the moving teacher's logit
        stands in for it.
        """
        average = self.teacher_forward(images)
        logits = []
        for teacher, tracker in zip(self._teachers(), self._trackers):
            with tracker:
                logits.append(teacher(self.normalize(images)).logits.float())
        moving_logits, other_logits = logits[moving], logits[1 - moving]
        top = min(TOP_CLASSES, other_logits.shape[1])
        least_logit = other_logits.topk(top, dim=1).values[:, -1:]
        other_top = torch.where(other_logits >= least_logit, other_logits, moving_logits)
        return Output((moving_logits + other_top) / 2, average.features, average.rep)

    def _decode_with_both(self, features: list[Tensor]) -> Tensor:
        teacher_1, teacher_2 = self._teachers()
        return (teacher_1.decode(features) + teacher_2.decode(features)) / 2

    def _plan_updates(self) -> list[tuple[int, int]]:
        """Of every step the teacher that moves, and the number of its own updates with this one.

        In the warm-up the teachers move in alternate steps, afterwards in turns of many steps.
        """
        updates, plan = [0, 0], []
        for step in range(self._steps):
            # Before its first update a teacher is a network that has learned nothing.
            alternate = step < 2 or self.schedule.at(step / self._steps) == 0
            moving = step % 2 if alternate else step // self._turn % 2
            updates[moving] += 1
            plan.append((moving, updates[moving]))
        return plan

    def after_step(self, step: int) -> None:
        super().after_step(step)
        moving, update = self._updates[min(step, self._steps - 1)]
        # By its own count: by the run's, of which it has every other step, a tenth of the first
        # weights would be left after 50 steps, and 3 % after 320.
        update_ema(self._teachers()[moving], self.student, min(1 - 1 / update, self.ema))


def _weighted_by_confidence(threshold: float) -> PixelSelector:
    def select(target: PseudoTarget, progress: float) -> PixelWeights:
        confident = target.valid & (target.confidence >= threshold)
        return PixelWeights(confident * target.confidence, confident.sum().float())

    return select


def psmt(context: MethodContext) -> Method:
    """PS-MT with CutMix; one network is shipped, not the mean of both teachers."""
    return PSMT(context)
