"""`metrics.json` of an `edgeseg infer` that has a folder of its own, `runs/infer/expN`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from edgeseg.bundle.flavours import Backend, Flavour
from edgeseg.runtime.pipeline import EndReason

Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class StageTime:
    """The time that a frame spends in one stage, in ms.

    Attributes:
        p50: The median.
        p95: The 95th percentile.
        p99: The 99th percentile.
    """

    p50: Milliseconds
    p95: Milliseconds
    p99: Milliseconds


@dataclass(frozen=True, kw_only=True)
class InferenceMetrics:
    """The figures of a run of `edgeseg infer`.

    Attributes:
        frames: Number of frames predicted and written.
        seconds: From the first read to the last write.
        fps: Frames a second, end to end.
        ended: Why the run is over.
        flavour: The file of the bundle that ran.
        backend: The engine that ran it.
        streams: Number of frames that were predicted at once.
        stages_ms: Times of `decode`, `resize`, `infer` and `write`; empty without a frame.
        dropped: Number of frames of a camera that came too fast.
        unreadable: Files that could not be read and were left out.
        reconnects: How often a lost camera was found again.
        notes: What the source had to say, in sentences.
        logged: Number of records that the frame log acknowledged; null without one.
        log_counts: Numbers of frames by what the log did with them; empty without one.
        invalid_scores: Number of frames whose score was no number from 0 to 1.
    """

    frames: Count
    seconds: Annotated[float, Field(ge=0)]
    fps: Annotated[float, Field(ge=0)]
    ended: EndReason
    flavour: Flavour
    backend: Backend
    streams: Annotated[int, Field(ge=1)]
    stages_ms: dict[str, StageTime]
    dropped: Count
    unreadable: list[str]
    reconnects: Count
    notes: list[str]
    logged: Count | None
    log_counts: dict[str, Count]
    invalid_scores: Count
