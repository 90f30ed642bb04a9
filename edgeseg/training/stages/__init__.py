"""Methods that train in stages, with pseudo-labels of the footage in between."""

__all__ = ["stage_runner"]
