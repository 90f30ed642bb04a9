"""OpenCV, or a sentence on how to install it; and a way to keep it from printing."""

from __future__ import annotations

import os

from edgeseg.errors import DependencyError
from edgeseg.installation import install_command

try:
    import cv2
except ImportError:
    raise DependencyError(
        "OpenCV, which reads and draws pictures, is not installed; "
        f"run `{install_command('device')}` (on a Jetson JetPack's own serves too)"
    ) from None

__all__ = ["cv2", "silence_opencv"]


def silence_opencv() -> None:
    """Stop OpenCV and FFmpeg from printing: their words about a camera include its password."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)
    elif hasattr(cv2.utils, "logging"):  # OpenCV 5
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
