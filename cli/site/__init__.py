"""Commands that make, fill and label a site: init, add, status, label."""

__all__ = ["add", "init", "label", "labels", "status"]
