"""Commands that make, fill and label a site: init, add, status, label, browse."""

__all__ = ["add", "browse", "init", "label", "labels", "status"]
