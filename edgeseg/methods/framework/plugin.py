"""What a plug-in may do to a method with online pseudo-labels; each hook does nothing unless
overridden.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgeseg.methods.framework.method import Batch, Method
from edgeseg.methods.framework.pixel_selection import PixelWeights
from edgeseg.methods.framework.views import PseudoTarget
from edgeseg.models import Output


@dataclass(frozen=True)
class StepContext:
    """What the student saw and said in a step.

    Attributes:
        images: (N + B, 3, H, W) normalized: labelled frames, then the unlabelled view.
        output: of the student on them.
        labelled: the labelled frames.
        target: the view of the unlabelled ones.
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
        """Of a student that saw more than one view: the labelled frames and the first."""
        rows = len(labelled.images) + len(target.images)
        rep = None if output.rep is None else output.rep[:rows]
        part = Output(output.logits[:rows], [maps[:rows] for maps in output.features], rep)
        return cls(images[:rows], part, labelled, target, unlabelled.images, progress)


class Plugin(nn.Module):
    """One idea that can be added to any host; its buffers and parameters are saved and trained with
    the method.
    """

    def prepare(self, labelled: Batch) -> Batch:
        """The labelled frames as they shall be trained on."""
        return labelled

    def observe(self, logits: Tensor, masks: Tensor) -> None:
        """The student's (B, C, H, W) logits on labelled frames with their masks (B, H, W), in every
        step.
        """

    def adjust_targets(self, method: Method, target: PseudoTarget, output: Output) -> PseudoTarget:
        """Change what is believed about clean frames, given the output it came from, or add a
        peer's belief.
        """
        return target

    def inject(self, target: PseudoTarget, labelled: Batch) -> PseudoTarget:
        """Put something into the frames before their colors change."""
        return target

    def mix_region(self, target: PseudoTarget) -> Tensor | None:
        """Pixels (B, H, W) to be taken from the next frame; None leaves the method's own rule."""
        return None

    def reweight(self, target: PseudoTarget, selected: PixelWeights) -> PixelWeights:
        """Change how much pixels count."""
        return selected

    def pixel_loss(self, logits: Tensor, target: PseudoTarget, weight: Tensor) -> Tensor | None:
        """The loss (B, H, W) of (B, C, H, W) logits in place of the method's own; `weight` (B, H,
        W) follows it.
        """
        return None

    def auxiliary_loss(self, method: Method, seen: StepContext) -> Tensor | None:
        """One more loss ()."""
        return None

    def after_step(self, method: Method, step: int) -> None:
        """Once a step, after the optimizer."""
