"""What each training method does, needs and costs; torch-free, so that `edgeseg methods` is instant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MethodInfo:
    """One method.

    Attributes:
        does: in a sentence.
        needs: labels and footage it cannot do without.
        cost: of a step with B labelled and B unlabelled frames; g with gradient, n without.
        paper: where it comes from.
    """

    family: str
    does: str
    needs: str
    cost: str
    paper: str


CATALOGUE: dict[str, MethodInfo] = {
    "suponly": MethodInfo(
        "supervised", "learns from the labelled frames alone; the floor every other method has to beat",
        "labels", "B g + B n", "-",
    ),
    "mean_teacher": MethodInfo(
        "online mean teacher", "the student's softmax follows that of its own average over time on noisy frames",
        "labels, footage", "2B g + B n", "Tarvainen and Valpola, NeurIPS 2017",
    ),
    "cutmix_mt": MethodInfo(
        "online mean teacher", "a mean teacher labels footage; the student sees two frames mixed by a box",
        "labels, footage", "2B g + B n", "French et al., BMVC 2020",
    ),
    "u2pl": MethodInfo(
        "online mean teacher + contrast",
        "as cutmix_mt, less the pixels of high entropy, which tell a contrastive loss what they are not",
        "labels, footage; 3 classes or more for its negatives from footage", "2B g + 3B n", "Wang et al., CVPR 2022",
    ),
}  # fmt: skip
