"""Commands that make and fill a site: init, add, status."""

__all__ = ["add", "init", "status"]
