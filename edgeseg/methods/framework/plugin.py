"""The hooks by which a plug-in changes a method with online pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgeseg.methods.framework.method import Batch, Method
from edgeseg.methods.framework.pixel_selection import PixelWeights
from edgeseg.methods.framework.views import PseudoTarget
from edgeseg.models import Output


@dataclass(frozen=True)
class StepContext:
    """The student's pass over labelled frames and one unlabelled view, with all that belongs to it.

    Attributes:
        images: (N + B, 3, H, W) normalized: labelled frames, then the unlabelled view.
        output: the student's output on them.
        labelled: the labelled frames.
        target: the view of the unlabelled frames.
        clean: (B, 3, H, W) 0..1, those frames before colors and mixing.
        progress: 0..1.
    """

    images: Tensor
    output: Output
    labelled: Batch
    target: PseudoTarget
    clean: Tensor
    progress: float

    @classmethod
    def first_view(
        cls,
        images: Tensor,
        output: Output,
        labelled: Batch,
        target: PseudoTarget,
        unlabelled: Batch,
        progress: float,
    ) -> StepContext:
        """Cut out the labelled frames and the first of several views that a student was given."""
        rows = len(labelled.images) + len(target.images)
        rep = None if output.rep is None else output.rep[:rows]
        first = Output(output.logits[:rows], [maps[:rows] for maps in output.features], rep)
        return cls(images[:rows], first, labelled, target, unlabelled.images, progress)


class Plugin(nn.Module):
    """One idea that can be added to any host method; each hook does nothing unless overridden.

    Its buffers and parameters are saved and trained with the method.
    """

    def prepare_labelled(self, labelled: Batch) -> Batch:
        """Change the labelled frames before they are trained on."""
        return labelled

    def observe_labelled(self, logits: Tensor, masks: Tensor) -> None:
        """Take in the student's (B, C, H, W) logits on labelled frames and their (B, H, W) masks.

        It is called in every step.
        """

    def adjust_targets(self, method: Method, target: PseudoTarget, output: Output) -> PseudoTarget:
        """Change the targets of clean frames, or add those of a peer.

        Args:
            method: the host.
            target: made from `output`.
            output: on the clean frames.
        """
        return target

    def inject(self, target: PseudoTarget, labelled: Batch) -> PseudoTarget:
        """Put something into the frames before their colors change."""
        return target

    def mix(self, target: PseudoTarget) -> PseudoTarget | None:
        """The frames mixed with each other in the plug-in's way; None leaves the method's rule."""
        return None

    def reweight(self, target: PseudoTarget, selected: PixelWeights) -> PixelWeights:
        """Change how much pixels count."""
        return selected

    def pixel_loss(self, logits: Tensor, target: PseudoTarget, weight: Tensor) -> Tensor | None:
        """The loss (B, H, W) of (B, C, H, W) logits in place of the method's own, or None.

        The host multiplies it by `weight` (B, H, W) afterwards.
        """
        return None

    def auxiliary_loss(self, method: Method, step_context: StepContext) -> Tensor | None:
        """A loss () to be added to the method's, or None."""
        return None

    def after_step(self, method: Method, step: int) -> None:
        """Do what is due after the optimizer's step number `step`, from 0."""
