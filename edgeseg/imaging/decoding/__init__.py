"""Pictures from bytes to pixels: the one decoder of training, calibration, evaluation and devices.

`picture` decodes with Pillow, once `declared_size` and `pixel_limits` found the size bearable;
`depth_range` makes 8 bits of what has more.
"""

__all__ = ["declared_size", "depth_range", "picture", "pillow", "pixel_limits"]
