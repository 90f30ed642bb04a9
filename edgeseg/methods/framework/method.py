"""The base class of training methods: a module whose `forward` turns two batches into a loss.

The optimizer, devices, precision, logging and saving are the training loop's
(`edgeseg.training.trainer`). Data-parallel training wraps the whole method.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgeseg.config import TrainConfig
from edgeseg.config.method_catalogue import CATALOGUE
from edgeseg.losses.cross_entropy import class_weights, cross_entropy
from edgeseg.losses.shared.resize import upsample
from edgeseg.methods.framework.ema import BatchNormTracker, copy_statistics, update_ema
from edgeseg.models import Network, Output


class Batch(NamedTuple):
    """Weakly augmented frames.

    Attributes:
        images: (B, 3, H, W) float RGB, 0..1.
        masks: (B, H, W) int64, 255 = ignore; of unlabelled frames all 255, but for labels that were
            propagated to them.
        valid: (B, H, W) bool, false where the augmentation padded.
    """

    images: Tensor
    masks: Tensor
    valid: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.masks.shape[1], self.masks.shape[2]


class StepResult(NamedTuple):
    """A loss () to minimize and detached values to log."""

    loss: Tensor
    logs: dict[str, Tensor]


@dataclass(frozen=True)
class MethodContext:
    """The parts that a method is made from.

    Attributes:
        student: the network to train, with a representation head if the method asks for one.
        pixels: (C,) number of labelled pixels of each class.
        config: the configuration of the run.
        new_network: builds one more network like the student, whose decoder and heads start from
            other random numbers.
    """

    student: Network
    pixels: Tensor
    config: TrainConfig
    new_network: Callable[[], Network]

    def confidence_threshold(self) -> float:
        """Least confidence of a pseudo-label: the configured one, else the catalogue's."""
        own = CATALOGUE[self.config.method].confidence
        assert own is not None, f"the catalogue has no confidence for {self.config.method}"
        return own if self.config.confidence is None else self.config.confidence

    def mixing_chance(self) -> float:
        """Share of the steps in which frames are mixed: the configured, else the catalogue's."""
        own = CATALOGUE[self.config.method].cutmix
        assert own is not None, f"the catalogue has no cutmix for {self.config.method}"
        return own if self.config.cutmix is None else self.config.cutmix


class Method(nn.Module, ABC):
    """A student, its exponential moving average (the teacher), and a training step.

    The names of a method's modules and buffers are keys of training checkpoints.

    Attributes:
        needs_unlabelled: whether `step` reads the unlabelled batch.
        student: the network that gets gradients.
        teacher: its average over steps, always in eval mode; this is evaluated and shipped. Its
            batch-norm statistics are those of its own activations (see `teacher_forward`):
            averaging the student's instead cost 6 mIoU after 200 steps, because averaged weights do
            not produce averaged activations.
        class_weight: (C,) weights of the supervised loss alone: pseudo-labels already carry the
            bias that it gave the teacher, and weighted again rare classes grow without end
            (docs/decisions/0006).
    """

    needs_unlabelled = True
    class_weight: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, student: Network, pixels: Tensor, ema: float, class_balance: float) -> None:
        """Copy the student into the teacher.

        Args:
            student: the network to train.
            pixels: (C,) number of labelled pixels of each class.
            ema: largest momentum of the teacher's weights.
            class_balance: power of the class weights.
        """
        super().__init__()
        self.student = student
        self.teacher = copy.deepcopy(student).requires_grad_(False).eval()
        self.ema = ema
        self._tracker = BatchNormTracker(self.teacher)
        self.register_buffer("class_weight", class_weights(pixels, class_balance))
        mean, std = student.normalization.tensors()
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    @abstractmethod
    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        """Compute the loss of one step; `progress` rises from 0 to 1 over the run."""

    @property
    def propagation(self) -> bool:
        """Whether unlabelled frames shall come with the labels that can be propagated to them."""
        return False

    def forward(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        return self.step(labelled, unlabelled, progress)

    def train(self, mode: bool = True) -> Method:
        super().train(mode)
        self.teacher.eval()
        return self

    def normalize(self, images: Tensor) -> Tensor:
        """Return RGB images 0..1 as the student expects them, and all networks built like it."""
        normalized = (images - self.mean) / self.std
        return normalized.contiguous(memory_format=torch.channels_last)

    def supervised_loss(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Class-balanced cross-entropy of (B, C, h, w) logits against (B, H, W) masks."""
        size = (masks.shape[1], masks.shape[2])
        return cross_entropy(upsample(logits, size), masks, self.class_weight)

    @torch.no_grad()
    def teacher_forward(self, images: Tensor) -> Output:
        """Output of the teacher on clean views (B, 3, H, W) 0..1, whose statistics it takes in.

        Every method passes clean views of the site's frames through here once a step.
        """
        with self._tracker:
            output: Output = self.teacher(self.normalize(images))
        return output

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move the teacher's weights after the optimizer's step number `step`, from 0.

        The momentum min(1 - 1 / (step + 1), ema) forgets the first weights at once. With ema 0 the
        teacher is the student itself, its statistics too, as in the papers' supervised rows.
        """
        update_ema(self.teacher, self.student, min(1 - 1 / (step + 1), self.ema))
        if self.ema == 0:
            copy_statistics(self.teacher, self.student)
