"""Plain masks: `masks/NAME.png` of class ids in the colors of the classes, beside `images`."""

from __future__ import annotations

from edgeseg.atomic_files import write_atomic
from edgeseg.data.label_formats.writers.label_writer import Target, WrittenFrame
from edgeseg.imaging.array_types import Mask
from edgeseg.imaging.mask_png import encode_palette_png


class MaskWriter:
    """Writes `images/NAME.jpg` and `masks/NAME.png`."""

    def __init__(self, target: Target) -> None:
        """Begin."""
        self._target = target

    def add(self, frame: WrittenFrame) -> Mask:
        """Write image and mask."""
        folder, png = self._target.folder, encode_palette_png(frame.mask, self._target.palette)
        write_atomic(folder / "images" / f"{frame.name}{frame.suffix}", frame.image, sync=False)
        write_atomic(folder / "masks" / f"{frame.name}.png", png, sync=False)
        return frame.mask

    def finish(self) -> None:
        """Nothing holds them together."""
