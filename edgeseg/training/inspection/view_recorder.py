"""A recorder of what a method shows its student in a step, whatever the method is.

All images pass through `Method.normalize` on their way into a network, those that the student
learns from with gradients. Methods with online pseudo-labels also name target and weights of each
view, in `OnlineMethod.unlabelled_loss`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from edgeseg.methods import Method
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import PixelSelector, PixelWeights
from edgeseg.methods.framework.views import PseudoTarget


@dataclass
class Recording:
    """The images and views of one forward pass.

    Attributes:
        images: (N, 3, H, W) 0..1 each, in the order in which the student was given them.
        views: Target of each unlabelled view, and the weights (B, H, W) of its pixels.
    """

    images: list[Tensor] = field(default_factory=list)
    views: list[tuple[PseudoTarget, Tensor]] = field(default_factory=list)


class GradientNeededError(Exception):
    """A method computes gradients inside its step, so what they need must be kept."""


@contextmanager
def without_activations() -> Iterator[None]:
    """Compute inside a `with` block as if for gradients, and keep nothing that they would need.

    It takes the memory of a prediction, not that of a training.

    Raises:
        GradientNeededError: Gradients are asked for all the same.
    """

    def forget(tensor: Tensor) -> None:
        return None

    def refuse(forgotten: None) -> Tensor:
        raise GradientNeededError

    with torch.autograd.graph.saved_tensors_hooks(forget, refuse):
        yield


@contextmanager
def record_views(method: Method) -> Iterator[Recording]:
    """Record the forward passes of a method inside a `with` block; it computes the same."""
    recording = Recording()
    normalize = method.normalize

    def recorded_normalize(images: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            recording.images.append(images.detach())
        return normalize(images)

    replaced = {"normalize": recorded_normalize}
    if isinstance(method, OnlineMethod):
        unlabelled_loss = method.unlabelled_loss

        def recorded_loss(
            logits: Tensor,
            target: PseudoTarget,
            progress: float,
            select: PixelSelector | None = None,
        ) -> tuple[Tensor, PixelWeights]:
            loss, selected = unlabelled_loss(logits, target, progress, select)
            weight = selected.weight.detach().expand_as(target.label)
            recording.views.append((target, weight))
            return loss, selected

        replaced["unlabelled_loss"] = recorded_loss  # type: ignore[assignment]  # another function
    for name, function in replaced.items():
        setattr(method, name, function)
    try:
        yield recording
    finally:
        for name in replaced:
            delattr(method, name)  # the class's own stands again
