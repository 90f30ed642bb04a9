"""What every source of frames gives the pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from edgeseg.imaging.array_types import Image


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes:
        image: (H, W, 3) uint8 BGR, as OpenCV decodes it.
        number: counts the frames of the run from 0; frames that a live source dropped leave gaps.
        name: unique in the source and safe as a file name.
        camera: who took it.
        time: seconds since the start of a video or of the run; None for pictures, which have no
            clock.
        monotonic_ns: when it was read.
    """

    image: Image
    number: int
    name: str
    camera: str
    time: float | None
    monotonic_ns: int

    @property
    def rgb(self) -> Image:
        """(H, W, 3) uint8 RGB; a view that costs nothing."""
        return self.image[..., ::-1]


@dataclass
class SourceStatistics:
    """What became of a source's frames besides those that it gave.

    Attributes:
        dropped: frames of a live source that were replaced by newer ones before the pipeline had
            time for them.
        unreadable: names of files that could not be decoded.
        reconnects: times that a lost camera came back.
        notes: sentences that the user should see at the end.
    """

    dropped: int = 0
    unreadable: list[str] = field(default_factory=list)
    reconnects: int = 0
    notes: list[str] = field(default_factory=list)


class Source(Protocol):
    """A camera, a video or pictures.

    Attributes:
        name: what the user called it, without secrets.
        live: frames arrive at their own pace and old ones are dropped.
        total: number of frames, None where nobody knows.
        fps: frames a second of a video, None for pictures.
        statistics: what became of frames that were not given.
    """

    name: str
    live: bool
    total: int | None
    fps: float | None
    statistics: SourceStatistics

    def frames(self, stop: Event) -> Iterator[Frame]:
        """The frames, until the source ends or `stop` is set."""

    def close(self) -> None:
        """Let go of devices and files."""


def safe_name(text: str) -> str:
    """`text` with nothing in it that a file name or a camera name must not hold."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "camera"


def redact(text: str) -> str:
    """`text` without the passwords in it: what stands between :// and the last @, and the values of
    secret keys.
    """
    text = re.sub(r"(?i)(\b[a-z][a-z0-9+.-]*://)([^\s:@/]*)(:?).*@", _hide, text)
    return re.sub(
        r"(?i)((?:pass\w*|pwd|token|secret|auth\w*|api_?key|key)=)[^&;\s]+", r"\1***", text
    )


def _hide(match: re.Match[str]) -> str:
    scheme, user, colon = match.groups()
    return f"{scheme}{user}:***@" if colon else f"{scheme}***@"
