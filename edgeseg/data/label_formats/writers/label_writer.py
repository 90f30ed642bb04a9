"""What every writer is given, and what it does with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeseg.imaging.array_types import Mask, Palette


@dataclass(frozen=True, kw_only=True)
class WrittenFrame:
    """A frame on its way to a label tool.

    Attributes:
        name: Of its files, without suffix: by it the frame is known when it comes back.
        suffix: Of the image's file.
        image: Its content.
        mask: (H, W) uint8 class ids, 255 where nothing is labelled.
        is_prediction: The mask is a model's, to be corrected.
    """

    name: str
    suffix: str
    image: bytes
    mask: Mask
    is_prediction: bool


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where frames go.

    Attributes:
        folder: The folder that is written to.
        classes: Names in the order of ids.
        palette: RGB of each.
    """

    folder: Path
    classes: Sequence[str]
    palette: Palette


class LabelWriter(Protocol):
    """Writes frames in one format."""

    def add(self, frame: WrittenFrame) -> Mask:
        """Write a frame, and return its mask as it reads afterwards."""
        ...

    def finish(self) -> None:
        """Write what holds all frames together."""
        ...
