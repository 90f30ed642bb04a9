"""The interface of every source of frames, and the frame that it gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

from edgeseg.imaging.array_types import Image


@dataclass(frozen=True)
class SourceFrame:
    """One image of a source.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        number: Counts the frames of the run from 0; frames that a live source dropped leave gaps.
        name: Unique in the source and safe as a file name.
        camera: The name of the camera that took it.
        time: Seconds since the start of a video or of the run; None for image files, which have no
            clock.
        monotonic_ns: When it was read, on the monotonic clock.
    """

    image: Image
    number: int
    name: str
    camera: str
    time: float | None
    monotonic_ns: int


@dataclass
class SourceStatistics:
    """Numbers and notes about the frames that a source did not give.

    Attributes:
        dropped: Frames of a live source that newer ones replaced before the pipeline had time for
            them.
        unreadable: Names of files that could not be decoded.
        reconnects: Number of times that a lost camera came back.
        notes: Sentences that the user should see at the end.
    """

    dropped: int = 0
    unreadable: list[str] = field(default_factory=list)
    reconnects: int = 0
    notes: list[str] = field(default_factory=list)


class Source(Protocol):
    """A camera, videos or image files.

    Attributes:
        name: What the user called it, without secrets.
        live: Whether frames arrive at their own pace and old ones are dropped.
        total: Number of frames, None where it cannot be known.
        fps: Frames a second of a video, None for image files.
        reads: Files that it reads, and folders that it lists; none of a camera.
        statistics: Numbers of frames that were not given, complete once the source has ended.
    """

    name: str
    live: bool
    total: int | None
    fps: float | None
    reads: Sequence[Path]
    statistics: SourceStatistics

    def frames(self, stop: Event) -> Iterator[SourceFrame]:
        """Yield the frames until the source ends or `stop` is set."""

    def close(self) -> None:
        """Let go of devices and files."""
