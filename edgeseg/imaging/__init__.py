"""Images and masks as arrays and as files: decoding, resizing, hashing and drawing.

The one implementation that devices and training share, so nothing here needs more than numpy,
OpenCV and Pillow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeseg.lazy import lazy_names

if TYPE_CHECKING:
    from edgeseg.imaging.frame_fit import fit_frame
    from edgeseg.imaging.image_codec import read_image
    from edgeseg.imaging.mask_png import encode_palette_png, read_mask
    from edgeseg.imaging.resize import resize_image, resize_mask

__all__ = [
    "array_types",
    "decoding",
    "drawing",
    "encode_palette_png",
    "file_names",
    "fit_frame",
    "footage_walk",
    "frame_fit",
    "image_codec",
    "mask_png",
    "matrix_picture",
    "opencv",
    "palette",
    "perceptual_hash",
    "read_image",
    "read_mask",
    "resize",
    "resize_image",
    "resize_mask",
    "video",
]

__getattr__ = lazy_names(
    __name__,
    {
        "encode_palette_png": "edgeseg.imaging.mask_png",
        "fit_frame": "edgeseg.imaging.frame_fit",
        "read_image": "edgeseg.imaging.image_codec",
        "read_mask": "edgeseg.imaging.mask_png",
        "resize_image": "edgeseg.imaging.resize",
        "resize_mask": "edgeseg.imaging.resize",
    },
)
