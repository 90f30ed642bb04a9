"""Commands for the device: infer, log."""

__all__ = ["infer", "log", "schema"]
