"""Golden frames: pictures with known masks that a bundle brings along, so that a device can check
itself.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle import Bundle
from edgeseg.errors import BundleError
from edgeseg.imaging.array_types import Image

GOLDEN = "golden.npz"


@dataclass(frozen=True)
class Golden:
    """Frames that the bundle brings along, with what its FP32 file said of them when it was
    exported.

    Attributes:
        images: (H, W, 3) uint8 BGR each, at the graph's size.
        masks: (N, H, W) uint8.
    """

    images: list[Image]
    masks: NDArray[np.uint8]

    @property
    def frames(self) -> NDArray[np.uint8]:
        """(N, H, W, 3) RGB, as a graph takes them."""
        return np.ascontiguousarray(np.stack(self.images)[..., ::-1])


def read_golden(bundle: Bundle) -> Golden | None:
    """The golden frames, None if the bundle has none.

    Raises:
        BundleError: the file is damaged.
    """
    if GOLDEN not in bundle.manifest.files:
        return None
    size = bundle.manifest.height, bundle.manifest.width
    try:
        with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as golden:
            frames, masks = golden["frames"], golden["masks"]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(
            f"{bundle.path / GOLDEN} cannot be used ({error}); export the bundle again"
        ) from None
    right = (
        frames.dtype == masks.dtype == np.uint8 and frames.shape[1:] == (*size, 3) and len(frames)
    )
    if not right or masks.shape != frames.shape[:3]:
        raise BundleError(
            f"{bundle.path / GOLDEN} holds no frames of {size[1]}x{size[0]}; export the bundle again"
        )
    return Golden([np.ascontiguousarray(frame[..., ::-1]) for frame in frames], masks)
