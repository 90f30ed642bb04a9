"""The tables `[train.u2pl]`, `[train.ael]` and `[train.fpl]`: numbers of single methods."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgeseg.config.section import Section, Unit


class U2PLConfig(Section):
    """Unreliable pixels as negatives (U2PL, Wang et al., CVPR 2022)."""

    alpha: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of the unlabelled pixels, those of highest entropy, that is called "
        "unreliable at the start; it falls linearly to 0 at the end (alpha in the paper).",
    )
    per_class: bool = Field(
        True,
        description="Take that share of every class by itself, so that rare classes keep "
        "pseudo-labels; false takes it of all pixels together, as the paper does.",
    )
    low_rank: int = Field(
        3,
        ge=1,
        description="An unreliable pixel is a negative of a class whose rank among its class "
        "probabilities is at least low_rank and below high_rank (r_l in the paper).",
    )
    high_rank: int = Field(20, ge=2, description="Upper end of these ranks (r_h in the paper).")
    threshold: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="Least probability of its class at which a pixel can be an anchor (delta_p in "
        "the paper).",
    )
    temperature: float = Field(
        0.5, gt=0, description="Temperature of the contrastive loss (tau in the paper)."
    )
    anchors: Annotated[int, Unit("pixels")] = Field(
        256, ge=1, description="Anchor pixels of each class that are compared in one step."
    )
    negatives: Annotated[int, Unit("pixels")] = Field(
        50, ge=1, description="Negative pixels that each anchor is compared with."
    )
    bank: Annotated[int, Unit("pixels")] = Field(
        4096,
        ge=1,
        description="Negative pixels that the memory bank keeps of each class; less saves memory.",
    )
    weight: float = Field(
        0.1, ge=0, description="Weight of the contrastive loss beside the other losses."
    )


class AELConfig(Section):
    """Adaptive sampling for classes that are learned badly (AEL, Hu et al., NeurIPS 2021)."""

    keep: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Momentum of the running confidence of each class; nearer to 1 is slower.",
    )
    least_keep: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Least chance with which a pseudo-labelled pixel of a class that is learned "
        "well still counts.",
    )
    copy_paste: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the labelled frames into which a badly learned class is pasted.",
    )
    common: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Classes with a larger share of the labelled pixels are never pasted.",
    )


class FPLConfig(Section):
    """Fuzzy positive pseudo-labels (FPL, Qiao et al., CVPR 2023)."""

    mass: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="Probability that the positive classes of a pixel and the next one reach "
        "together; higher gives more positives (T_u in the paper).",
    )
    most: Annotated[int, Unit("classes")] = Field(
        3, ge=1, description="Largest number of positive classes of a pixel."
    )
    weight: Literal["none", "linear", "convex", "concave"] | None = Field(
        None,
        description="Curve by which pixels count more the further their positive classes lead; "
        "none weighs all pixels alike. When it is unset: concave on ael, none elsewhere, as "
        "published.",
    )
