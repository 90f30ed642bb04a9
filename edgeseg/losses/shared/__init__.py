"""Parts that several losses share: memory banks, precision, resizing."""

__all__ = ["memory_bank", "precision", "resize"]
