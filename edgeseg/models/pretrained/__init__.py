"""Pretrained encoders: where their weights come from, and the input that they were trained with."""

__all__ = ["normalization", "weight_packages", "weights_file", "weights_hub", "weights_terms"]
