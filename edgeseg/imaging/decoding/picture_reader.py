"""Picture files read as a device and an evaluation read them, and what there is to say about them.

Pictures of more than 8 bits are scaled by the range that the bundle brings along. Without one,
those that use the full range of their file are scaled by that, and others, which would be nearly
black, are refused.
"""

from __future__ import annotations

from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.depth_range import (
    ENOUGH_LEVELS,
    DeepPixels,
    DepthRange,
    sample_values,
    used_range,
)
from edgeseg.imaging.decoding.picture import Picture, decode_picture
from edgeseg.imaging.decoding.picture_file import UnreadablePictureError, read_picture_file

MOST_NAMES = 3  # of files in a note
MOST_OUTSIDE = 0.5  # share of the pixels of a deep picture that may lie beyond the range, untold


class PictureReader:
    """Reads picture files to RGB, and remembers which of them need a word."""

    def __init__(self, depth: DepthRange | None = None) -> None:
        """Read nothing yet.

        Args:
            depth: The range of deep pictures that the bundle brings along, if it does.
        """
        self._depth = depth
        self._with_more: list[str] = []
        self._by_full_range: list[str] = []
        self._beyond_range: list[str] = []

    def read(self, path: Path) -> Image:
        """Read a picture file, (H, W, 3) uint8 RGB.

        Raises:
            DataError: "file: reason"; see `decode_picture`, or it would be nearly black.
        """
        try:
            picture = decode_picture(read_picture_file(path))
            rgb = self.rgb(picture, path)
        except UnreadablePictureError as error:
            raise DataError(f"{path}: {error}") from None
        if picture.more:
            self._with_more.append(path.name)
        return rgb

    def rgb(self, picture: Picture, path: Path) -> Image:
        """Convert a decoded picture, or the first frame of a video, to (H, W, 3) uint8 RGB.

        Args:
            path: Names it in notes.

        Raises:
            UnreadablePictureError: The range is for pictures of another kind, or there is none and
                it would be nearly black.
        """
        if picture.container is not None:
            self._check_range(picture, picture.container, path)
        return picture.rgb(self._depth)

    def notes(self) -> list[str]:
        """Return what the user should see at the end."""
        notes = note_on_pages(self._with_more)
        if self._by_full_range:
            notes.append(
                f"{join_names(self._by_full_range)} hold more than 8 bits and the bundle brings no "
                "range for such pictures: the full range of the files became 0 to 255"
            )
        if self._beyond_range:
            notes.append(
                f"{join_names(self._beyond_range)} lie mostly beyond {self._depth}, the values of "
                "more than 8 bits that the bundle was trained on: they came out nearly black or "
                "white"
            )
        return notes

    def _check_range(self, picture: Picture, container: DepthRange, path: Path) -> None:
        """Note how well a deep picture fits the range, and refuse it where there is none."""
        values: DeepPixels = sample_values(picture.values)
        if self._depth is not None:
            if self._depth.share_outside(values) > MOST_OUTSIDE:
                self._beyond_range.append(path.name)
            return
        lowest, highest = used_range([values])
        if not container.floating:
            if container.levels_between(lowest, highest) < ENOUGH_LEVELS:
                raise UnreadablePictureError(
                    f"has more than 8 bits and uses {lowest:.0f} to {highest:.0f} of {container}, "
                    "which would be nearly black, and no range for such pictures is known; add "
                    "some to the site and export the bundle again"
                )
            self._by_full_range.append(path.name)


def note_on_pages(names: list[str]) -> list[str]:
    """Return a note about files with more than one page or frame, if there are any."""
    if not names:
        return []
    return [f"of {join_names(names)} the first page or frame was used, there are more"]


def join_names(names: list[str]) -> str:
    """Return names with commas between them; capped, the rest counted."""
    more = f" and {len(names) - MOST_NAMES} more files" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
