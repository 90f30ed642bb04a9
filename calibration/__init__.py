"""Calibration of INT8 files: which frames calibrate, the range estimators and their registry, and
the rounding of weights. It needs numpy alone.
"""

__all__ = ["frame_selection", "histogram", "registry", "weight_pairs", "weight_rounding"]
