"""Mean Teacher (Tarvainen and Valpola, 2017): the student follows the softmax of its own average on
noisy frames.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from edgeseg.losses.consistency import squared_error
from edgeseg.methods.framework.method import Method, MethodContext
from edgeseg.methods.framework.pixel_selection import everything
from edgeseg.methods.framework.pseudo_label_method import PseudoLabel
from edgeseg.methods.framework.views import PseudoTarget
from edgeseg.methods.plugins import plugins

# of the squared error: on probabilities its gradients are small beside those of a cross-entropy
WEIGHT = 10.0
NOISE = 0.05


def mean_teacher(kit: MethodContext) -> Method:
    """Mean squared error of the softmax on all pixels, without strong views."""
    return PseudoLabel(kit, plugins(kit), select=everything, pixel=_error, view=_noisy)


def _error(logits: Tensor, target: PseudoTarget) -> Tensor:
    return WEIGHT * squared_error(logits, target.probability)


def _noisy(target: PseudoTarget) -> PseudoTarget:
    return replace(
        target, images=(target.images + NOISE * torch.randn_like(target.images)).clamp(0, 1)
    )
