"""What a plug-in may do to a method with online pseudo-labels; each hook does nothing unless
overridden.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edgeseg.methods.framework.method import Batch, Method
from edgeseg.methods.framework.pixel_selection import Selected
from edgeseg.methods.framework.views import Target
from edgeseg.models import Output


@dataclass(frozen=True)
class Seen:
    """What the student saw and said in a step.

    Attributes:
        images: (N + B, 3, H, W) normalised: labelled frames, then the unlabelled view.
        output: of the student on them.
        labelled: the labelled frames.
        target: the view of the unlabelled ones.
        clean: (B, 3, H, W) 0..1, those frames before colours and mixing.
        progress: 0..1.
    """

    images: Tensor
    output: Output
    labelled: Batch
    target: Target
    clean: Tensor
    progress: float

    @classmethod
    def first_view(
        cls,
        images: Tensor,
        output: Output,
        labelled: Batch,
        target: Target,
        unlabelled: Batch,
        progress: float,
    ) -> Seen:
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

    def believe(self, method: Method, target: Target, output: Output) -> Target:
        """Change what is believed about clean frames, given the output it came from, or add a
        peer's belief.
        """
        return target

    def inject(self, target: Target, labelled: Batch) -> Target:
        """Put something into the frames before their colours change."""
        return target

    def region(self, target: Target) -> Tensor | None:
        """Pixels (B, H, W) to be taken from the next frame; None leaves the method's own rule."""
        return None

    def weigh(self, target: Target, selected: Selected) -> Selected:
        """Change how much pixels count."""
        return selected

    def pixel_loss(self, logits: Tensor, target: Target, weight: Tensor) -> Tensor | None:
        """The loss (B, H, W) of (B, C, H, W) logits in place of the method's own; `weight` (B, H,
        W) follows it.
        """
        return None

    def extra(self, method: Method, seen: Seen) -> Tensor | None:
        """One more loss ()."""
        return None

    def after_step(self, method: Method, step: int) -> None:
        """Once a step, after the optimiser."""
