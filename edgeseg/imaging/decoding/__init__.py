"""Pictures from bytes to pixels: the one decoder of training, calibration, evaluation and devices.

`picture_file` opens files by Pillow and refuses sizes that nobody can bear, `picture` decodes them;
`depth_range` makes 8 bits of what has more.
"""

__all__ = [
    "deep_pixels",
    "depth_range",
    "picture",
    "picture_file",
    "picture_reader",
    "pillow",
    "pixel_limits",
]
