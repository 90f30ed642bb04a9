"""The header of a frame log's record: everything that is known about a frame besides its pictures.

`record_format` describes how it is written.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgeseg.config import Section
from edgeseg.imaging.decoding.pixel_limits import MAX_RECORD_PIXELS, MAX_RECORD_SIDE

MAX_RECORD_BYTES = 64 * 1024 * 1024

PartKind = Literal["image", "mask", "entropy"]
LogReason = Literal["score", "random", "flagged"]
QualityFlag = Literal["black", "saturated", "frozen"]
Text = Annotated[str, Field(max_length=256)]
Side = Annotated[int, Field(ge=1, le=MAX_RECORD_SIDE)]


class RecordMetadata(Section):
    """What is known about a frame when it is logged.

    Attributes:
        device: The name of the device.
        camera: The name of the camera.
        boot: How often the log had been opened for writing, counted from 1.
        seq: Counts the records since then, from 0, with a gap where the disk refused one.
            (boot, seq) is the order of the log; clocks play no part in it.
        monotonic_ns: The device's monotonic clock when the frame was taken.
        time: Wall clock in seconds since 1970 when the record was written, as the device had it.
        clock_synced: Whether the device's wall clock was synchronized; None where it could not
            tell.
        model: Digest of the bundle that computed score, mask and entropy.
        threshold: Score from which frames were logged.
        reason: "score" (at or above the threshold), "random" (control stream) or "flagged"
            (sample of poor pictures).
        probability: The chance that the control stream had to draw this frame; 1 unless the reason
            is "random".
        score: Share of unreliable pixels, 0..1.
        flags: What is wrong with the picture.
        height: Rows of the frame.
        width: Columns of the frame.
    """

    device: Text
    camera: Text
    boot: int = Field(ge=0, le=999_999)
    seq: int = Field(ge=0, le=9_999_999_999)
    monotonic_ns: int = Field(ge=-(2**63), lt=2**63)
    time: float = Field(ge=-6e10, le=2.5e11)  # years 68 to 9892
    clock_synced: bool | None
    model: Text
    threshold: float = Field(ge=0, le=1)
    reason: LogReason
    probability: float = Field(gt=0, le=1)
    score: float = Field(ge=0, le=1)
    flags: tuple[QualityFlag, ...] = Field((), max_length=8)
    height: Side
    width: Side

    @model_validator(mode="after")
    def _check_pixels(self) -> RecordMetadata:
        if self.height * self.width > MAX_RECORD_PIXELS:
            raise ValueError(f"{self.width}x{self.height} pixels are more than {MAX_RECORD_PIXELS}")
        return self


class RecordPart(Section):
    """One of the compressed pictures behind the header.

    Attributes:
        kind: "image", "mask" or "entropy".
        length: In bytes.
        sha256: Of the bytes, in lower-case hex.
    """

    kind: PartKind
    length: int = Field(ge=1, le=MAX_RECORD_BYTES)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class RecordHeader(RecordMetadata):
    """The metadata as stored, with the list of the parts that follow.

    Attributes:
        version: Of the layout of the header; "schema" in JSON.
        parts: The pictures, in the order in which they follow.
    """

    version: Literal[1] = Field(1, alias="schema")
    parts: tuple[RecordPart, ...] = Field(min_length=1, max_length=3)

    @model_validator(mode="after")
    def _check_parts(self) -> RecordHeader:
        kinds = [part.kind for part in self.parts]
        if kinds[0] != "image" or len(set(kinds)) < len(kinds):
            raise ValueError("parts must be one image, then at most one mask and one entropy map")
        return self

    def canonical(self) -> bytes:
        """Return the one JSON text of this header: sorted keys, no spaces, ASCII."""
        table = self.model_dump(mode="json", by_alias=True)
        return json.dumps(table, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
