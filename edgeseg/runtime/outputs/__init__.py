"""Where predictions go: overlay video, folders of images, JSON lines and the frame log."""

__all__ = [
    "base",
    "frame_log_sink",
    "image_folder",
    "json_lines",
    "overlay",
    "overlay_video",
    "score_check",
]
