"""S4L (Zhai et al., ICCV 2019, arXiv 1905.03670): the encoder learns the rotation of footage.

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
    """One pass over labelled frames, one of the encoder alone over rotated squares of footage.

    Attributes:
        upright: the layer that tells the rotations apart.
    """

    def __init__(self, context: MethodContext) -> None:
        config = context.config
        super().__init__(context.student, context.pixels, config.ema, config.class_balance)
        self.upright = nn.Linear(context.student.encoder_channels[-1], 4)
        self._weight = config.unlabelled_weight

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        self.teacher_forward(torch.cat([labelled.images, unlabelled.images]))
        supervised = self.supervised_loss(
            self.student(self.normalize(labelled.images)).logits, labelled.masks
        )
        images = rotated_squares(unlabelled.images)
        turns = torch.arange(4, device=images.device).repeat_interleave(len(unlabelled.images))
        features = self.student.encode(self.normalize(images))[-1]
        logits = self.upright(features.mean((2, 3))).float()
        rotation = distributed_mean(
            F.cross_entropy(logits, turns, reduction="sum"), logits.new_tensor(len(logits))
        )
        logs = {"supervised": supervised.detach(), "unlabelled": rotation.detach()}
        logs |= {"upright": (logits.argmax(1) == turns).float().mean()}
        return StepResult(supervised + self._weight * rotation, logs)


def rotated_squares(images: Tensor) -> Tensor:
    """A random square as high as the shorter side, at half size, in its four rotations.

    Example: of frames of 96x128 a square of 96 is cut out and shown at 64, the least multiple of 32
    that is no less than 48.

    Args:
        images: (B, 3, H, W).

    Returns:
        (4 B, 3, S, S), one rotation after another, S a multiple of 32.
    """
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = int(torch.randint(height - side + 1, ())), int(torch.randint(width - side + 1, ()))
    square = images[:, :, top : top + side, left : left + side]
    half_size = -(-side // (2 * STRIDE)) * STRIDE  # rounded up
    square = F.interpolate(square, size=(half_size, half_size), mode="area")
    return torch.cat([torch.rot90(square, turns, (2, 3)) for turns in range(4)])


def s4l(context: MethodContext) -> Method:
    """S4L with rotations of footage alone."""
    return S4L(context)
