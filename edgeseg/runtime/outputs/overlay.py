"""Draws predictions over frames: class colors, a legend with each class's share, and the score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.config import ClassSpec
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.drawing import drawable_names
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.palette import color_table
from edgeseg.imaging.resize import resize_mask
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.sources.base import SourceFrame

OPACITY = 0.45  # of the class colors
# Bounds of the picture's longer side: a legend must be readable, and 4K is more than anybody needs.
SMALLEST_SIDE, LARGEST_SIDE = 640, 1280
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_HEIGHT = 32  # of a row in which the font is written at scale 1, in pixels
WHITE = (255, 255, 255)
LEGEND_BRIGHTNESS = 0.35  # the share of the picture's brightness that is left behind the legend
MARGIN = 4  # pixels between legend and picture edge, and between legend and text


class Overlay:
    """Draws pictures of one size; the legend's fixed part is laid out once."""

    def __init__(self, classes: Sequence[ClassSpec], height: int, width: int) -> None:
        """Choose the size of the pictures and lay out the legend.

        A frame of 1920x1080 gives pictures of 1280x720, one of 320x240 pictures of 640x480.

        Args:
            classes: The classes, for colors and legend.
            height: Rows of the first frame.
            width: Columns of the first frame.
        """
        longer = max(height, width)
        scale = np.clip(longer, SMALLEST_SIDE, LARGEST_SIDE) / longer
        # Even numbers: video codecs store color for 2x2 pixels at once.
        self.height, self.width = (max(2, int(side * scale) // 2 * 2) for side in (height, width))
        self._colors = color_table([spec.rgb for spec in classes])
        self._legend = _Legend(classes, self.height, self.width)

    def draw(self, image: Image, mask: Image, score: float, area: NDArray[np.float32]) -> Image:
        """Return the picture of one frame, (height, width, 3) uint8 RGB.

        Args:
            image: (h, w, 3) uint8 RGB of any size.
            mask: (h', w') uint8 class ids of any size.
            score: Share of unreliable pixels in the frame.
            area: (C,) share of each class.
        """
        size = (self.width, self.height)
        if image.shape[:2] != (self.height, self.width):
            shrinks = image.shape[1] > self.width
            interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)
        colors = cv2.applyColorMap(resize_mask(mask, (self.height, self.width)), self._colors)
        picture = np.asarray(cv2.addWeighted(image, 1 - OPACITY, colors, OPACITY, 0.0), np.uint8)
        self._legend.draw(picture, score, area)
        return picture

    def draw_prediction(self, frame: SourceFrame, prediction: Prediction) -> Image:
        """Return `draw` of a frame and its prediction, a batch of one."""
        score, area = float(prediction.score[0]), prediction.area[0]
        return self.draw(frame.image, prediction.mask[0], score, area)


class _Legend:
    """The shaded box at the top left: color, name and share of each class, below them the score.

    With 11 classes in a picture of 480 rows a row is clip(472 / 12, 12, 480 / 22 = 21.8) = 21
    pixels high; one column has room for 472 // 21 - 1 = 21 classes, so there is one. With 64
    classes a row has the least height, 12, there is room for 472 // 12 - 1 = 38, and so there are 2
    columns if they fit side by side, else the classes that do not fit are left out.
    """

    def __init__(self, classes: Sequence[ClassSpec], height: int, width: int) -> None:
        room = height - 2 * MARGIN
        self._row = int(np.clip(room / (len(classes) + 1), 12, max(16, height / 22)))
        self._scale = self._row / FONT_HEIGHT
        self._thickness = 1 if self._row < 30 else 2
        self._rows = max(1, room // self._row - 1)  # of classes in a column; the score takes one
        self._names = drawable_names([spec.name for spec in classes])
        self._colors = [spec.rgb for spec in classes]
        text_width = max(self._text_width(f"{name} 100%") for name in [*self._names, "score"])
        # The colored square takes one row's height, the gap to the next column half of it.
        self._column = self._row + text_width + self._row // 2
        columns_needed = -(-len(classes) // self._rows)  # rounded up
        columns_possible = max(1, (width - 2 * MARGIN) // self._column)
        columns = min(columns_needed, columns_possible)
        self._shown = min(len(classes), self._rows * columns)
        self._box = (
            (min(self._rows, len(classes)) + 1) * self._row + MARGIN,
            min(columns * self._column + MARGIN, width - 2 * MARGIN),
        )

    def draw(self, picture: Image, score: float, area: NDArray[np.float32]) -> None:
        """Draw into `picture`."""
        height, width = self._box
        box = picture[MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        cv2.convertScaleAbs(box, box, LEGEND_BRIGHTNESS, 0.0)
        left = 2 * MARGIN
        for index in range(self._shown):
            column, row = divmod(index, self._rows)  # filled column by column
            x, y = left + column * self._column, MARGIN + row * self._row
            side = self._row * 2 // 3
            cv2.rectangle(picture, (x, y + 4), (x + side, y + side + 2), self._colors[index], -1)
            self._write(picture, f"{self._names[index]} {100 * area[index]:.0f}%", x + self._row, y)
        self._write(picture, f"score {score:.2f}", left, height - self._row)

    def _write(self, picture: Image, text: str, x: int, y: int) -> None:
        baseline = (x, y + self._row * 4 // 5)
        cv2.putText(picture, text, baseline, FONT, self._scale, WHITE, self._thickness, cv2.LINE_AA)

    def _text_width(self, text: str) -> int:
        return int(cv2.getTextSize(text, FONT, self._scale, self._thickness)[0][0])
