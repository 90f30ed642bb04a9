"""Mean Teacher (Tarvainen and Valpola, 2017): on noisy frames the student follows its average."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from edgeseg.losses.consistency import squared_error
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import all_pixels
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.framework.views import PseudoTarget
from edgeseg.methods.plugins import make_plugins

# 100 in TorchSemiSeg, of the mean over VOC's 21 classes; times the classes, so that few of them do
# not make it stronger, nor many weaker. French et al. have 21 / 100 of it, the plain sum.
WEIGHT = 100 / 21
NOISE = 0.05  # standard deviation, of images 0..1


def mean_teacher(context: MethodContext) -> Method:
    """Squared error of the softmax on all pixels: soft targets, noise, no strong colors."""
    return PseudoLabel(
        context,
        make_plugins(context),
        select=all_pixels,
        pixel_loss=partial(_weighted_squared_error, weight=WEIGHT * len(context.pixels)),
        make_view=_noisy,
    )


def _weighted_squared_error(logits: Tensor, target: PseudoTarget, *, weight: float) -> Tensor:
    return weight * squared_error(logits, target.probability)


def _noisy(target: PseudoTarget) -> PseudoTarget:
    images = (target.images + NOISE * torch.randn_like(target.images)).clamp(0, 1)
    return replace(target, images=images)
