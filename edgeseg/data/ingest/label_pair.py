"""An image and the mask that belongs to it, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.data.ingest.masks.mask_facts import MaskFacts
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Mask

Examine = Callable[[tuple[int, int]], tuple[Mask, MaskFacts | None]]


def _never(mask: Mask) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class LabelPair:
    """An image file, and a mask that is read when it is needed.

    Attributes:
        image: The file; its name without suffix may be the id of a frame of the site.
        mask: The file that the mask comes from.
        examine: Gives the mask, (H, W) uint8 class ids, and what was found in its file, None where
            nothing about it is in doubt. It is given the size of the image, height and width, and
            raises a DataError with "file: reason".
        needs_size: The mask has no size of its own.
        exact: The mask comes pixel by pixel, not from shapes that a tool may have drawn anew.
        is_untouched: Whether a mask is a prediction that nobody changed.
        image_name, mask_name: What the user calls the files, where they are copies.
    """

    image: Path
    mask: Path
    examine: Examine
    needs_size: bool = False
    exact: bool = True
    is_untouched: Callable[[Mask], bool] = _never
    image_name: str = ""
    mask_name: str = ""

    @property
    def shown_image(self) -> str:
        """The image as the user knows it."""
        return self.image_name or str(self.image)

    @property
    def shown_mask(self) -> str:
        """The file of the mask as the user knows it."""
        return self.mask_name or str(self.mask)

    def told(self, error: DataError) -> str:
        """Return the message of an error, with the names that the user knows."""
        text = str(error)
        for path, name in ((self.image, self.shown_image), (self.mask, self.shown_mask)):
            text = text.replace(str(path), name)
        return text
