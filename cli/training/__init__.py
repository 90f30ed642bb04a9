"""Commands that train models: train, distill, compare, methods."""

__all__ = ["compare", "distill", "methods", "train"]
