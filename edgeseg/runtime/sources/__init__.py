"""Where frames come from: live cameras, and recorded images and videos."""

__all__ = [
    "base",
    "continued_names",
    "open_source",
    "recorded_files",
    "source_names",
    "video_files",
]
