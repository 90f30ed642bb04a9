"""One image of a site, and the parts of the work that may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["unlabelled", "labelled", "val", "gate"]
FrameOrigin = Literal["footage", "labels", "log"]
SPLITS: tuple[Split, ...] = ("labelled", "unlabelled", "val", "gate")
HELD_OUT: tuple[Split, ...] = ("val", "gate")  # never trained on


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One image of the site.

    Attributes:
        id: Unique in the site and safe as a file name; holds the camera and a digest of the
            content.
        camera: Name of the camera that took it.
        time: Seconds since the start of its source.
        source: The file it came from, as the user named it.
        split: The part of the work that may use it.
        image, mask: Paths relative to the site; no mask for an unlabelled frame.
        height, width: Size in pixels.
        hash: 64-bit dHash in hex, for near-duplicates.
        origin: "footage", "labels" or "log" (came back from a device).
        withheld: Whether it is unlabelled, but too near a val or gate frame to be trained on
            (edgeseg/data/leakage.py).
    """

    id: str
    camera: str
    time: float
    source: str
    split: Split
    image: str
    mask: str | None
    height: int
    width: int
    hash: str
    origin: FrameOrigin
    withheld: bool = False
