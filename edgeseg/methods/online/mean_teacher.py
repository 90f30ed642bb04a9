"""Mean Teacher (Tarvainen and Valpola, 2017): on noisy frames the student follows its average."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from edgeseg.losses.consistency import squared_error
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import all_pixels
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.framework.views import PseudoTarget
from edgeseg.methods.plugins import make_plugins

# Of the squared error: its gradients are small beside those of a cross-entropy.
WEIGHT = 10.0
NOISE = 0.05  # standard deviation, of images 0..1


def mean_teacher(context: MethodContext) -> Method:
    """Mean squared error of the softmax on all pixels, without strong views."""
    return PseudoLabel(
        context,
        make_plugins(context),
        select=all_pixels,
        pixel_loss=_weighted_squared_error,
        make_view=_noisy,
    )


def _weighted_squared_error(logits: Tensor, target: PseudoTarget) -> Tensor:
    return WEIGHT * squared_error(logits, target.probability)


def _noisy(target: PseudoTarget) -> PseudoTarget:
    images = (target.images + NOISE * torch.randn_like(target.images)).clamp(0, 1)
    return replace(target, images=images)
