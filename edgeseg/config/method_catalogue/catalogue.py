"""The catalogue itself: what each method and plug-in does, needs and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MethodInfo:
    """Facts about a method, which the function of its name in its module makes.

    Attributes:
        file: name of its module below `edgeseg.methods`, such as "online.u2pl".
        family: the kind of method, by who makes the pseudo-labels and when.
        does: the method in one sentence.
        cost: forward passes of a step with B labelled and B unlabelled frames; g with gradient, n
            without.
        memory: memory of a training step as a multiple of suponly's at the same number of labelled
            frames, roughly.
        paper: authors, venue and year.
        classes: least number of classes that the method works with.
        plugins: whether plug-ins can be added, which work on online pseudo-labels.
        baseline: whether it is kept for comparison, faithful to the core idea alone.
        representation: whether the network gets a representation head.
        cutmix: the share of the steps in which frames are mixed, as published, where
            `train.cutmix` is unset; None: the method mixes nothing.
        confidence: the least confidence of a pseudo-label where `train.confidence` is unset;
            None: the method has no such threshold.
        reads: the other keys of `[train]` that act in the method, of those that not all methods
            read, such as "strong" or "ael.keep"; see `keys_read`.
        brings: its own plug-ins, whose keys act as well.
    """

    file: str
    family: str
    does: str
    cost: str
    memory: float
    paper: str
    classes: int = 2
    plugins: bool = False
    baseline: bool = False
    representation: bool = False
    cutmix: float | None = None
    confidence: float | None = None
    reads: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()


SUPERVISED, TEACHER, SELF = "supervised", "online mean teacher", "online self-teaching"
CO, STAGED, ADVERSARIAL = "co-training", "offline self-training", "adversarial or pretext"

SCHEDULE = ("warmup", "ramp", "unlabelled_weight")  # of the unlabelled loss
LABELS = (*SCHEDULE, "propagation")  # of online pseudo-labels
ONLINE = (*LABELS, "teacher", "strong")  # of those learned on strong views

CATALOGUE: dict[str, MethodInfo] = {
    "suponly": MethodInfo(
        "online.suponly",
        SUPERVISED,
        "learns from the labelled frames alone; the floor that others have to beat",
        "B g + B n",
        1,
        "-",
    ),
    "suponly_strong": MethodInfo(
        "online.suponly",
        SUPERVISED,
        "suponly with strong colors on the labelled frames too",
        "B g + B n",
        1,
        "-",
    ),
    "mean_teacher": MethodInfo(
        "online.mean_teacher",
        TEACHER,
        "the student's softmax follows that of its own average over time on noisy frames",
        "2B g + B n",
        2,
        "Tarvainen and Valpola, NeurIPS 2017",
        plugins=True,
        reads=(*LABELS, "teacher"),
    ),
    "cutmix_mt": MethodInfo(
        "online.cutmix_mt",
        TEACHER,
        "a mean teacher labels footage; the student sees two frames mixed by a box",
        "2B g + B n",
        2,
        "French et al., BMVC 2020",
        plugins=True,
        cutmix=1.0,
        confidence=0.0,
        reads=ONLINE,
    ),
    "classmix": MethodInfo(
        "online.classmix",
        TEACHER,
        "as cutmix_mt, but half of a frame's classes are pasted instead of a box (a box below 4 "
        "classes)",
        "2B g + B n",
        2,
        "Olsson et al., WACV 2021",
        plugins=True,
        cutmix=1.0,
        confidence=0.968,
        reads=ONLINE,
    ),
    "fixmatch": MethodInfo(
        "online.fixmatch",
        SELF,
        "the student's own labels of a frame, learned on a strong view of it",
        "2B g + 2B n",
        2,
        "Sohn et al., NeurIPS 2020",
        plugins=True,
        cutmix=0.5,
        confidence=0.0,
        reads=ONLINE,
    ),
    "ael": MethodInfo(
        "online.ael",
        TEACHER,
        "classes that go badly are pasted, mixed and sampled more often",
        "2B g + B n",
        2,
        "Hu et al., NeurIPS 2021",
        plugins=True,
        cutmix=1.0,
        confidence=0.0,
        reads=ONLINE,
        brings=("ael",),
    ),
    "u2pl": MethodInfo(
        "online.u2pl",
        TEACHER + " + contrast",
        "as cutmix_mt, less the pixels of high entropy, which tell a contrastive loss what they "
        "are not",
        "2B g + 3B n",
        2.3,
        "Wang et al., CVPR 2022",
        plugins=True,
        representation=True,
        cutmix=0.5,
        reads=ONLINE,
        brings=("u2pl_contrast",),
    ),
    "u2pl_ael": MethodInfo(
        "online.u2pl",
        TEACHER + " + contrast",
        "u2pl's contrastive loss on ael",
        "2B g + 3B n",
        2.3,
        "Wang et al., CVPR 2022",
        plugins=True,
        representation=True,
        cutmix=1.0,
        reads=ONLINE,
        brings=("ael", "u2pl_contrast"),
    ),
    "cps": MethodInfo(
        "online.cps",
        CO,
        "two networks with different heads label all frames for each other",
        "4B g + 6B n",
        4,
        "Chen et al., CVPR 2021",
        plugins=True,
        confidence=0.0,
        reads=LABELS,
    ),
    "cps_cutmix": MethodInfo(
        "online.cps",
        CO,
        "cps on mixed frames",
        "4B g + 3B n",
        4,
        "Chen et al., CVPR 2021",
        plugins=True,
        cutmix=1.0,
        confidence=0.0,
        reads=(*LABELS, "strong"),
    ),
    "fpl_cps": MethodInfo(
        "online.cps",
        CO,
        "cps with fuzzy positives: a pixel that may be one of several classes is pulled to all "
        "of them",
        "4B g + 6B n",
        4,
        "Qiao et al., CVPR 2023",
        classes=3,
        plugins=True,
        confidence=0.0,
        reads=LABELS,
        brings=("fpl",),
    ),
    "fpl_cps_cutmix": MethodInfo(
        "online.cps",
        CO,
        "fuzzy positives on cps_cutmix",
        "4B g + 3B n",
        4,
        "Qiao et al., CVPR 2023",
        classes=3,
        plugins=True,
        cutmix=1.0,
        confidence=0.0,
        reads=(*LABELS, "strong"),
        brings=("fpl",),
    ),
    "fpl_ael": MethodInfo(
        "online.ael",
        TEACHER,
        "fuzzy positives on ael",
        "2B g + B n",
        2,
        "Qiao et al., CVPR 2023",
        classes=3,
        plugins=True,
        cutmix=1.0,
        confidence=0.0,
        reads=ONLINE,
        brings=("ael", "fpl"),
    ),
    "st": MethodInfo(
        "staged.st",
        STAGED,
        "a supervised teacher labels the footage once, a fresh student learns it under strong "
        "views",
        "2B g + 2B n, labels once",
        2,
        "Yang et al., CVPR 2022",
        reads=("unlabelled_weight", "strong"),
    ),
    "stpp": MethodInfo(
        "staged.stpp",
        STAGED,
        "st in two rounds, beginning with the frames that the teacher labelled alike over time",
        "2B g + 2B n, labels twice",
        2,
        "Yang et al., CVPR 2022",
        reads=("unlabelled_weight", "strong"),
    ),
    "psmt": MethodInfo(
        "online.psmt",
        TEACHER,
        "two teachers in turns, confident pixels only, adversarial noise on features",
        "2B g + 3B n + 8B decoder",
        3.5,
        "Liu et al., CVPR 2022",
        plugins=True,
        cutmix=1.0,
        confidence=0.6,
        reads=(*LABELS, "strong"),
    ),
    "ucc": MethodInfo(
        "online.ucc",
        CO,
        "two heads on one encoder label strong views for each other, weighted by agreement (no "
        "public code)",
        "2B g + 2B n",
        2.4,
        "Fan et al., CVPR 2022",
        plugins=True,
        reads=(*LABELS, "strong", "ael.keep", "ael.copy_paste", "ael.common"),
    ),
    "unimatch": MethodInfo(
        "online.unimatch",
        SELF,
        "fixmatch with a second strong view and a stream of perturbed features; for "
        "convolutional encoders",
        "4B g + 2B n + B decoder",
        4.2,
        "Yang et al., CVPR 2023",
        plugins=True,
        cutmix=0.5,
        confidence=0.0,
        reads=ONLINE,
    ),
    "unimatch_v2": MethodInfo(
        "online.unimatch_v2",
        TEACHER,
        "two strong views with complementary dropout of features; made for a DINOv2 encoder with "
        "arch dpt",
        "3B g + B n",
        3,
        "Yang et al., 2024",
        plugins=True,
        cutmix=0.5,
        confidence=0.0,
        reads=ONLINE,
    ),
    "naive_student": MethodInfo(
        "staged.naive_student",
        STAGED,
        "many-view labels of the footage alone, then tuning on real labels, twice over; made for "
        "video",
        "B g + B n, labels twice",
        1,
        "Chen et al., ECCV 2020",
        reads=("strong",),
    ),
    "noisy_student": MethodInfo(
        "staged.noisy_student",
        STAGED,
        "soft labels of a frozen teacher, noise on the student, who then becomes the teacher",
        "2B g + 3B n",
        2,
        "Xie et al., CVPR 2020",
        reads=("unlabelled_weight", "strong"),
    ),
    "cct": MethodInfo(
        "baselines.cct",
        SELF,
        "small decoders of perturbed features follow the softmax of the main decoder",
        "2B g + B n + 6B small decoders",
        2.1,
        "Ouali et al., CVPR 2020",
        baseline=True,
        reads=(*LABELS, "teacher"),
    ),
    "gct": MethodInfo(
        "baselines.gct",
        CO,
        "of two networks the one that a detector thinks the worse of learns from the other",
        "4B g + B n + 4B detector",
        4,
        "Ke et al., ECCV 2020",
        baseline=True,
        reads=SCHEDULE,
    ),
    "cac": MethodInfo(
        "baselines.cac",
        SELF,
        "what two overlapping windows of a frame both show gets alike features (also called DCC)",
        "3B g + B n",
        3,
        "Lai et al., CVPR 2021",
        baseline=True,
        confidence=0.75,
        reads=(*SCHEDULE, "strong"),
    ),
    "pseudoseg": MethodInfo(
        "baselines.pseudoseg",
        SELF,
        "decoder and class activation map, fused and sharpened, are the soft label of a strong "
        "view",
        "2B g + 2B n",
        2,
        "Zou et al., ICLR 2021",
        plugins=True,
        baseline=True,
        reads=ONLINE,
    ),
    "pc2seg": MethodInfo(
        "baselines.pc2seg",
        SELF + " + contrast",
        "a strong view gets the soft label and, by contrast, the features of the clean one",
        "2B g + 2B n",
        2.2,
        "Zhong et al., ICCV 2021",
        baseline=True,
        representation=True,
        confidence=0.75,
        reads=(*ONLINE, "rep_dim"),
    ),
    "dmt": MethodInfo(
        "baselines.dmt",
        STAGED,
        "two networks label ever more of the footage for each other, in five phases",
        "2B g + 3B n",
        2,
        "Feng et al., Pattern Recognition 2022",
        baseline=True,
        reads=("unlabelled_weight", "strong"),
    ),
    "dsbn": MethodInfo(
        "baselines.dsbn",
        STAGED,
        "st with batch norms of its own for strong views, and a loss that doubts labels",
        "2B g + 2B n, labels once",
        2,
        "Yuan et al., ICCV 2021",
        baseline=True,
        reads=("unlabelled_weight", "strong"),
    ),
    "ecs": MethodInfo(
        "baselines.ecs",
        ADVERSARIAL,
        "a second network, which learns where the first one errs, corrects its labels of footage",
        "2B g + 2B n",
        2,
        "Mendel et al., ECCV 2020",
        baseline=True,
        reads=SCHEDULE,
    ),
    "s4gan": MethodInfo(
        "baselines.s4gan",
        ADVERSARIAL,
        "a discriminator of frames picks those to learn from; what a frame shows is learned apart",
        "2B g + 2B n",
        2,
        "Mittal et al., TPAMI 2021",
        baseline=True,
        reads=SCHEDULE,
    ),
    "advssl": MethodInfo(
        "baselines.advssl",
        ADVERSARIAL,
        "a discriminator of pixels picks those to learn from",
        "2B g + 2B n",
        2,
        "Hung et al., BMVC 2018",
        baseline=True,
        reads=SCHEDULE,
    ),
    "s4l": MethodInfo(
        "baselines.s4l",
        ADVERSARIAL,
        "the encoder learns which way up footage is",
        "B g + 2B n + B encoder g",
        1.8,
        "Zhai et al., ICCV 2019",
        baseline=True,
        reads=("unlabelled_weight",),
    ),
}

PLUGINS: dict[str, str] = {
    "u2pl_contrast": "U2PL's contrastive loss on unreliable pixels (Wang et al., CVPR 2022)",
    "fpl": (
        "fuzzy positives in place of the cross-entropy; 3 classes or more (Qiao et al., CVPR 2023)"
    ),
    "ael": (
        "sampling, pasting and weights that favor classes that go badly (Hu et al., NeurIPS 2021)"
    ),
    "augseg": "boxes of labelled frames pasted into uncertain ones (Zhao et al., CVPR 2023)",
    "dacs": "half of the classes of a labelled frame pasted in (Tranheden et al., WACV 2021)",
    "prevmatch": "earlier checkpoints give a second opinion (Shin et al., 2024)",
    "corrmatch": "labels spread over pixels that look alike (Sun et al., CVPR 2024)",
}
NO_REPRESENTATION = ("psmt",)  # perturbed features have no representation of their own
PASTING = ("augseg", "dacs")  # plug-ins that need a strong view
NO_STRONG_VIEW = ("mean_teacher", "cps", "fpl_cps")


def parts_of(method: str, plugins: Sequence[str]) -> tuple[str, ...]:
    """The plug-ins that a method brings along, then those of `plugins` that it has not yet."""
    return tuple(dict.fromkeys([*CATALOGUE[method].brings, *plugins]))
