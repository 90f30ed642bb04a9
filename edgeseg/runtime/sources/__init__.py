"""Where frames come from: live cameras, and recorded images and videos."""

__all__ = ["base", "open_source", "recorded_files", "source_names"]
