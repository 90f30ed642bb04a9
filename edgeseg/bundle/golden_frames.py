"""Golden frames: frames that a bundle brings along, so that a device can check itself.

With them come the masks that the FP32 file gave on the exporting machine. `agreement` is the check
itself: every engine that a device builds, every file that `edgeseg bench` times and the TensorRT
checklist ask it.
"""

from __future__ import annotations

import io
import math
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
from edgeseg.imaging.decoding.pixel_limits import MAX_PIXELS
from edgeseg.metrics import pixel_agreement

# What `zipfile` and NumPy raise on damaged files; RuntimeError for encryption or unknown packing.
GOLDEN_ERRORS = (
    KeyError,
    ValueError,
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
MAX_GOLDEN_BYTES = 3 * MAX_PIXELS  # of the frames, unpacked


def golden_frame_count(height: int, width: int) -> int:
    """Return how many golden frames of this size an export makes: 8, fewer where they are huge."""
    return max(1, min(8, MAX_PIXELS // (height * width)))


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
    except GOLDEN_ERRORS as error:
        raise BundleError(f"{path} cannot be used ({error}); export the bundle again") from None
    frames, masks = golden.frames, golden.masks
    are_frames = frames.dtype == np.uint8 and frames.shape[1:] == (*size, 3) and len(frames) > 0
    if not are_frames or masks.dtype != np.uint8 or masks.shape != frames.shape[:3]:
        raise BundleError(f"{path} holds no frames of {size[1]}x{size[0]}; export the bundle again")
    return golden


def load_golden_frames(data: bytes) -> GoldenFrames:
    """Return what `golden.npz` holds; shapes are bounded, nothing else is checked.

    Raises:
        ValueError: It is no such file, or unpacks to more than `MAX_GOLDEN_BYTES`.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return GoldenFrames(_read_array(archive, "frames"), _read_array(archive, "masks"))


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    """Unpack one array, once its header was read and found to declare no more than it may."""
    with archive.open(f"{name}.npy") as file:
        # Version 1.0 is what NumPy writes for these; headers of later ones can be gigabytes long.
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} has an unknown layout")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype != np.uint8 or math.prod(shape) > MAX_GOLDEN_BYTES:
        raise ValueError(f"{name} declares {shape} of {dtype}, more than {MAX_GOLDEN_BYTES} bytes")
    with archive.open(f"{name}.npy") as file:
        values: NDArray[np.uint8] = np.lib.format.read_array(file, allow_pickle=False)
    return values


def dump_golden_frames(golden: GoldenFrames) -> bytes:
    """Return the content of `golden.npz`."""
    file = io.BytesIO()
    np.savez_compressed(file, frames=golden.frames, masks=golden.masks)
    return file.getvalue()
