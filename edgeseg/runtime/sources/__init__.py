"""Where frames come from: live cameras, and recorded images and videos."""

__all__ = ["base", "continued_names", "image_files", "open_source", "source_names", "video_files"]
