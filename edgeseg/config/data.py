"""The classes of a site, and the table `[data]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgeseg.config.section import Section, Unit

FitMode = Literal["stretch", "letterbox", "crop"]


class ClassSpec(Section):
    """One class; its id is its place in the list."""

    name: str = Field(min_length=1, description="Name of the class, unique in the site.")
    color: str = Field(
        pattern=r"^#[0-9a-fA-F]{6}$",
        description="Color of the class in pictures and in color masks, as #rrggbb; unique too.",
    )

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The color as three numbers, 0 to 255 each."""
        value = int(self.color[1:], 16)
        return value >> 16, value >> 8 & 255, value & 255


class DataConfig(Section):
    """The way from footage to frames, and from labels to splits."""

    fps: Annotated[float, Unit("frames per second")] = Field(
        1.0,
        gt=0,
        description="Frames that are looked at per second of video, before near-duplicates are "
        "dropped; the images of one folder count as 1/fps seconds apart. "
        "Raise it for scenes that change quickly.",
    )
    near_duplicate: Annotated[int, Unit("bits of 64")] = Field(
        4,
        ge=0,
        le=64,
        description="Two frames count as the same when the perceptual hashes of both differ in no "
        "more bits than this. Raise it to keep fewer frames of a quiet scene, 0 keeps most.",
    )
    max_side: Annotated[int, Unit("pixels")] = Field(
        1280,
        ge=64,
        description="Frames whose longer side is larger are stored smaller, at this length.",
    )
    fit: FitMode = Field(
        "stretch",
        description="How frames of another shape than imgsz come to it, in training as on the "
        "device: `stretch` scales their sides apart, `letterbox` keeps their shape with gray "
        "beside them, `crop` takes their middle and leaves the rest unseen. `edgeseg status` "
        "proposes an imgsz that fits, which is better than either.",
    )
    val_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of the labelled frames that tunes thresholds and is reported as val; of "
        "12 labels and more at least 3, which an export needs.",
    )
    gate_share: float = Field(
        0.15,
        gt=0,
        lt=1,
        description="Share of the labelled frames that judges a new bundle in `edgeseg adapt` and "
        "is never used for training or tuning.",
    )
    block_seconds: Annotated[float, Unit("seconds")] = Field(
        20.0,
        gt=0,
        description="Frames of one camera within a block of this length stay in one split, so that "
        "val and gate frames are no near copies of training frames. Raise it for slow scenes.",
    )
    ignore_colors: tuple[str, ...] = Field(
        (), description="Colors of color masks that mean that a pixel is not labelled, as #rrggbb."
    )
    depth: Literal["auto", "full", "percentile", "8bit"] = Field(
        "auto",
        description="How pictures of more than 8 bits, such as those of thermal cameras, become 8 "
        "bits. `full` maps the full range of the file; `percentile` what the footage of the first "
        "`edgeseg add` uses, from its 0.1 % to its 99.9 % quantile and a quarter of that more at "
        "both ends, for other hours and seasons; `auto` takes `full` where that uses at least 32 "
        "of the 256 gray levels, else `percentile`; `8bit` refuses such pictures. The range is "
        "kept in depth.json and in every bundle.",
    )
    cache_bytes: Annotated[int, Unit("bytes")] = Field(
        20_000_000_000,
        ge=0,
        description="Disk space for decoded frames in cache/, which may be deleted at any time; 0 "
        "keeps none.",
    )
    seed: int = Field(0, description="Seed of the automatic split into train, val and gate.")
