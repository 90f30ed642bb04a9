"""Labels of a site's few labelled frames, carried to a frame that shows some of the same things.

Which labelled frames those are is asked of the pictures, not of clocks: a still camera shows the
same months later, a moving one only for moments, and labels often come without a time. So it does
no harm to move the camera: from then on nothing is found again, and nothing is carried.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.propagation.correspondence import Gray, find_correspondence, follow, gray_frame
from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.opencv import cv2

SOURCES = 3  # labelled frames that are tried, the most alike first
# Frames that show other things agree by chance on up to a tenth of the pixels, sky and road.
LEAST_FOUND = 0.15
THUMBNAIL = (32, 24)  # width and height
DETAIL = 6.0  # pixels of the thumbnail; slower changes of brightness do not count


class LabelledFrames(Protocol):
    """Images (H, W, 3) and masks (H, W) of one size, one at least."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Image, Mask]: ...


class LabelPropagation:
    """Labelled frames that can be compared with any other of their size."""

    def __init__(self, labelled: LabelledFrames, sources: int = SOURCES) -> None:
        """Read all of them once; later those that are alike are read again.

        Args:
            labelled: The frames.
            sources: How many of them are tried for a frame.
        """
        self._labelled, self._sources = labelled, sources
        images = (labelled[index][0] for index in range(len(labelled)))
        self._thumbnails = np.stack([_thumbnail(gray_frame(image)) for image in images])

    def propagate(self, image: Image) -> Mask:
        """Return the labels that hold for `image` (H, W, 3) too, (H, W), elsewhere `IGNORE`.

        Where two labelled frames say different things, neither is believed.
        """
        frame = gray_frame(image)
        likeness = self._thumbnails @ _thumbnail(frame)
        result = np.full(image.shape[:2], IGNORE, np.uint8)
        disputed = np.zeros(image.shape[:2], bool)
        for index in np.argsort(-likeness, kind="stable")[: self._sources]:
            labelled_image, mask = self._labelled[int(index)]
            correspondence = find_correspondence(frame, gray_frame(labelled_image))
            if correspondence.found.mean() < LEAST_FOUND:
                continue
            carried = follow(correspondence, mask, IGNORE)
            known, new = result != IGNORE, carried != IGNORE
            disputed |= known & new & (result != carried)
            result = np.where(known, result, carried)
        result[disputed] = IGNORE
        return result


def _thumbnail(gray: Gray) -> NDArray[np.float32]:
    """Return the details of a frame as a vector of length 1; two that are alike have a product near
    1.
    """
    small = cv2.resize(gray, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = (small - cv2.GaussianBlur(small, (0, 0), DETAIL)).ravel()
    return np.asarray(detail / (np.linalg.norm(detail) + 1e-6), np.float32)
