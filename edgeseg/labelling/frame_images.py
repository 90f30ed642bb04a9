"""The image of a frame as it is stored, read without torch."""

from __future__ import annotations

from edgeseg.errors import DataError
from edgeseg.imaging import read_image
from edgeseg.imaging.array_types import Image
from edgeseg.site import Frame, Site


def read_frame_image(site: Site, frame: Frame) -> Image:
    """Read a frame's image, (H, W, 3) uint8 RGB.

    Raises:
        DataError: It is missing, damaged, or of another size than when it was added.
    """
    path = site.path(frame.image)
    rgb = read_image(path)
    if rgb is None or rgb.shape[:2] != (frame.height, frame.width):
        raise DataError(
            f"{path} is missing, damaged or of another size than {frame.width}x{frame.height}; "
            "restore it, or add the same footage or labels again"
        )
    return rgb
