"""The table `[adapt]`: one round of the adaptation loop."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgeseg.config.section import Section, Unit


class AdaptConfig(Section):
    """One round of the adaptation loop."""

    min_records: Annotated[int, Unit("records")] = Field(
        20, ge=1, description="Logged frames that a round needs to start."
    )
    max_records: Annotated[int, Unit("records")] = Field(
        2000, ge=1, description="Logged frames that a round takes at most."
    )
    review: Annotated[int, Unit("frames")] = Field(
        0,
        ge=0,
        description="Most valuable frames of a round that a person must have labelled or skipped "
        "before it trains; 0 waits for nobody.",
    )
    train_steps: Annotated[int, Unit("optimizer steps")] = Field(
        2000, ge=1, description="Length of the site model's training in a round."
    )
    distill_steps: Annotated[int, Unit("optimizer steps")] = Field(
        1500, ge=1, description="Length of the edge model's training in a round."
    )
    max_drop: Annotated[float, Unit("mIoU points")] = Field(
        0.2,
        ge=0,
        description="Accuracy that a new bundle may lose on the gate frames; beyond it the bundle "
        "is rejected and the old one stays.",
    )
    max_class_drop: Annotated[float, Unit("IoU points")] = Field(
        3.0,
        ge=0,
        description="Accuracy that a new bundle may lose on the gate frames in any class.",
    )
    draws: int = Field(
        2000,
        ge=100,
        description="Draws of the bootstrap that compares the two bundles; more give a steadier "
        "interval.",
    )
    block: Annotated[int, Unit("frames")] = Field(
        1,
        ge=1,
        description="Neighboring gate frames that the bootstrap draws together; raise it for dense "
        "video, whose frames are alike.",
    )
    min_fps: Annotated[float, Unit("frames per second")] = Field(
        0.0, ge=0, description="Speed that a new bundle must reach on the machine that judges it."
    )
