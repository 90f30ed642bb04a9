"""S4L (Zhai et al., ICCV 2019, arXiv 1905.03670): from footage the encoder learns which way up a
frame is.

A square cut out of every unlabelled frame is shown in all four rotations, and a linear layer on the
deepest features tells them apart, beside the supervised loss. There are no pseudo-labels, so
nothing has to be warmed up.

Simplified: squares are shown at half size, so that four of them cost as much as the frame itself;
labelled frames are not rotated.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import distributed_mean
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult

STRIDE = 32  # sides are multiples of it


class S4L(Method):
    """One pass over labelled frames, one of the encoder alone over rotated squares of footage."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__(kit.student, kit.pixels, kit.config.ema, kit.config.class_balance)
        self.upright = nn.Linear(kit.student.encoder_channels[-1], 4)
        self._weight = kit.config.unlabelled_weight

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        self.teacher_forward(torch.cat([labelled.images, unlabelled.images]))
        supervised = self.supervised(
            self.student(self.normalize(labelled.images)).logits, labelled.masks
        )
        images = rotated(unlabelled.images)
        turn = torch.arange(4, device=images.device).repeat_interleave(len(unlabelled.images))
        found = self.upright(self.student.encode(self.normalize(images))[-1].mean((2, 3))).float()
        rotation = distributed_mean(
            F.cross_entropy(found, turn, reduction="sum"), found.new_tensor(len(found))
        )
        logs = {"supervised": supervised.detach(), "unlabelled": rotation.detach()}
        logs |= {"upright": (found.argmax(1) == turn).float().mean()}
        return StepResult(supervised + self._weight * rotation, logs)


def rotated(images: Tensor) -> Tensor:
    """A random square as high as the shorter side, at half size, in four rotations one after
    another.

    Args:
        images: (B, 3, H, W).

    Returns:
        (4 B, 3, S, S), S a multiple of 32.
    """
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = int(torch.randint(height - side + 1, ())), int(torch.randint(width - side + 1, ()))
    square = images[:, :, top : top + side, left : left + side]
    small = -(-side // (2 * STRIDE)) * STRIDE
    square = F.interpolate(square, size=(small, small), mode="area")
    return torch.cat([torch.rot90(square, turns, (2, 3)) for turns in range(4)])


def s4l(kit: MethodContext) -> Method:
    """As described."""
    return S4L(kit)
