"""Commands that make, judge and time bundles: export, build, bench, eval."""

__all__ = ["bench", "build", "eval", "export"]
