"""Folders with one image per frame: overlays (`--save DIR`) and predicted masks (`--masks DIR`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeseg.config import ClassSpec
from edgeseg.imaging.mask_png import encode_palette_png
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.resize import resize_mask
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.outputs.base import Sink, make_output_folder, output_name, write_output_file
from edgeseg.runtime.outputs.overlay import Overlay
from edgeseg.runtime.sources.base import SourceFrame

# Options of cv2.imencode; PNG at the fastest level that compresses at all.
ENCODING_OPTIONS = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 92],
    ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
}


class OverlayImageSink(Sink):
    """Writes overlay images into a folder, named like the frames."""

    def __init__(self, folder: Path, classes: Sequence[ClassSpec], suffix: str = ".jpg") -> None:
        """Make the folder.

        Args:
            folder: Where the images go.
            classes: The classes, for colors and legend.
            suffix: ".jpg" or ".png".

        Raises:
            EdgesegError: The folder cannot be made.
        """
        make_output_folder(folder)
        self._folder, self._classes, self._suffix = folder, classes, suffix
        # The images of a folder may differ in size; a legend is laid out once for each size.
        self._overlays: dict[tuple[int, ...], Overlay] = {}

    def write(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Draw and write one image."""
        size = frame.image.shape[:2]
        overlay = self._overlays.setdefault(size, Overlay(self._classes, *size))
        drawn = overlay.draw_prediction(frame, prediction)
        bgr = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(self._suffix, bgr, ENCODING_OPTIONS[self._suffix])
        write_output_file(self._folder / f"{output_name(frame)}{self._suffix}", data.tobytes())


class MaskSink(Sink):
    """Writes masks at the frames' own size: PNGs of class ids with the class colors as palette."""

    def __init__(self, folder: Path, classes: Sequence[ClassSpec]) -> None:
        """Make the folder.

        Raises:
            EdgesegError: The folder cannot be made.
        """
        make_output_folder(folder)
        self._folder = folder
        self._palette = [spec.rgb for spec in classes]

    def write(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Write one mask."""
        mask = resize_mask(prediction.mask[0], (frame.image.shape[0], frame.image.shape[1]))
        write_output_file(
            self._folder / f"{output_name(frame)}.png", encode_palette_png(mask, self._palette)
        )
