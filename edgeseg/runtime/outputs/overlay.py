"""Draws predictions over frames: class colors, a legend with each class's share, and the score."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.config import ClassSpec
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.palette import color_table
from edgeseg.imaging.resize import resize_mask
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.sources.base import SourceFrame

OPACITY = 0.45  # of the class colors
SMALLEST, LARGEST = (
    640,
    1280,
)  # longest side of the picture: a legend must be readable, and nobody needs 4K
FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, SHADE = (
    (255, 255, 255),
    0.35,
)  # the legend's background keeps this share of the picture's brightness


class Overlay:
    """Draws pictures of one size; the legend's fixed part is laid out once."""

    def __init__(self, classes: Sequence[ClassSpec], height: int, width: int) -> None:
        """Lay out the legend.

        Args:
            height, width: of the first frame; pictures keep its shape, see `SMALLEST` and
            `LARGEST`.
        """
        scale = np.clip(max(height, width), SMALLEST, LARGEST) / max(height, width)
        self.height, self.width = (
            max(2, int(side * scale) // 2 * 2) for side in (height, width)
        )  # codecs want even sides
        self._colors = color_table([spec.rgb[::-1] for spec in classes])
        self._legend = _Legend(classes, self.height, self.width)

    def draw(self, image: Image, mask: Image, score: float, area: NDArray[np.float32]) -> Image:
        """The picture of one frame.

        Args:
            image: (h, w, 3) uint8 BGR of any size.
            mask: (h', w') uint8 class ids of any size.
            score: of the frame.
            area: (C,) share of each class.

        Returns:
            (height, width, 3) uint8 BGR.
        """
        size = (self.width, self.height)
        if image.shape[:2] != (self.height, self.width):
            shrinks = image.shape[1] > self.width
            image = np.asarray(
                cv2.resize(
                    image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
                ),
                np.uint8,
            )
        colors = cv2.applyColorMap(resize_mask(mask, (self.height, self.width)), self._colors)
        picture = np.asarray(cv2.addWeighted(image, 1 - OPACITY, colors, OPACITY, 0.0), np.uint8)
        self._legend.draw(picture, score, area)
        return picture

    def draw_prediction(self, frame: SourceFrame, prediction: Prediction) -> Image:
        """Return `draw` of a frame and its prediction, a batch of one."""
        score, area = float(prediction.score[0]), prediction.area[0]
        return self.draw(frame.image, prediction.mask[0], score, area)


class _Legend:
    """A shaded box at the top left: a colored square, the name and the share of each class, below
    them the score.
    """

    def __init__(self, classes: Sequence[ClassSpec], height: int, width: int) -> None:
        room = height - 8
        self._row = int(np.clip(room / (len(classes) + 1), 12, max(16, height / 22)))
        self._scale = self._row / 32
        self._thick = 1 if self._row < 30 else 2
        rows = max(
            1, room // self._row - 1
        )  # of classes in one column; the score takes the last row
        self._names = [_plain(spec.name) for spec in classes]
        self._colors = [spec.rgb[::-1] for spec in classes]
        text = max(self._wide(f"{name} 100%") for name in [*self._names, "score"])
        self._column = self._row + text + self._row // 2
        columns = min(-(-len(classes) // rows), max(1, (width - 8) // self._column))
        self._rows = rows
        self._shown = min(len(classes), rows * columns)
        self._box = (
            (min(rows, len(classes)) + 1) * self._row + 4,
            min(columns * self._column + 4, width - 8),
        )

    def draw(self, picture: Image, score: float, area: NDArray[np.float32]) -> None:
        """Draw into `picture`."""
        height, width = self._box
        box = picture[4 : 4 + height, 4 : 4 + width]
        cv2.convertScaleAbs(box, box, SHADE, 0.0)
        for index in range(self._shown):
            column, row = divmod(index, self._rows)
            x, y = 8 + column * self._column, 4 + row * self._row
            side = self._row * 2 // 3
            cv2.rectangle(picture, (x, y + 4), (x + side, y + side + 2), self._colors[index], -1)
            self._write(picture, f"{self._names[index]} {100 * area[index]:.0f}%", x + self._row, y)
        self._write(picture, f"score {score:.2f}", 8, height - self._row)

    def _write(self, picture: Image, text: str, x: int, y: int) -> None:
        place = (x, y + self._row * 4 // 5)
        cv2.putText(picture, text, place, FONT, self._scale, WHITE, self._thick, cv2.LINE_AA)

    def _wide(self, text: str) -> int:
        return int(cv2.getTextSize(text, FONT, self._scale, self._thick)[0][0])


def _plain(name: str) -> str:
    """`name` in the letters that OpenCV's fonts have."""
    return (
        unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
        or "class"
    )
