"""Quantization to INT8: activation statistics, channel equalization, weight rounding, and the
search for a recipe that is accurate and fast enough, up to quantization-aware training.
"""

__all__ = ["activation_statistics", "calibration_cache", "quantizer", "recipe", "recipe_search"]
