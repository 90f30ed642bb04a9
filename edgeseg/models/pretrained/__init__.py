"""Pretrained encoders: where their weights come from, and the input that they were trained with."""

__all__ = ["normalization", "weights_file"]
