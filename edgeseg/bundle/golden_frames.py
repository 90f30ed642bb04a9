"""Golden frames: frames that a bundle brings along, so that a device can check itself.

With them come the masks that the FP32 file gave on the exporting machine. `agreement` is the check
itself: every engine that a device builds, every file that `edgeseg bench` times and the TensorRT
checklist ask it.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.manifest import GOLDEN
from edgeseg.errors import BundleError
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.metrics import pixel_agreement


@dataclass(frozen=True)
class GoldenFrames:
    """Frames with the masks that the FP32 file gave them when it was exported.

    Attributes:
        frames: (N, H, W, 3) uint8 RGB at the graph's size, as a graph takes them.
        masks: (N, H, W) uint8 class ids.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]

    @property
    def images(self) -> list[Image]:
        """The frames as a camera gives them, (H, W, 3) uint8 RGB each."""
        return list(self.frames)

    def agreement(self, predict_mask: Callable[[NDArray[np.uint8]], Mask]) -> float:
        """Return the percentage of all pixels that get the class that FP32 gave them at export.

        Args:
            predict_mask: Takes one frame, (1, H, W, 3) uint8 RGB, and returns its mask, (H, W).
        """
        predicted = [predict_mask(frame[None]) for frame in self.frames]
        return pixel_agreement(np.stack(predicted), self.masks)


def read_golden_frames(bundle: Bundle) -> GoldenFrames | None:
    """Return the golden frames of a bundle, None if it has none.

    Raises:
        BundleError: The file is damaged.
    """
    if GOLDEN not in bundle.manifest.files:
        return None
    path, size = bundle.path / GOLDEN, (bundle.manifest.height, bundle.manifest.width)
    try:
        golden = load_golden_frames(bundle.read(GOLDEN))
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"{path} cannot be used ({error}); export the bundle again") from None
    frames, masks = golden.frames, golden.masks
    are_frames = frames.dtype == np.uint8 and frames.shape[1:] == (*size, 3) and len(frames) > 0
    if not are_frames or masks.dtype != np.uint8 or masks.shape != frames.shape[:3]:
        raise BundleError(f"{path} holds no frames of {size[1]}x{size[0]}; export the bundle again")
    return golden


def load_golden_frames(data: bytes) -> GoldenFrames:
    """Return what `golden.npz` holds, unchecked."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return GoldenFrames(arrays["frames"], arrays["masks"])


def dump_golden_frames(golden: GoldenFrames) -> bytes:
    """Return the content of `golden.npz`."""
    file = io.BytesIO()
    np.savez_compressed(file, frames=golden.frames, masks=golden.masks)
    return file.getvalue()
