"""OpenCV for the runtime: a missing one is told in a sentence, a present one keeps quiet about
addresses it opens.
"""

from __future__ import annotations

import os

from edgeseg.errors import DependencyError

try:
    import cv2
except ImportError:
    raise DependencyError(
        "OpenCV, which reads and draws pictures, is not installed; run `pip install 'edgeseg[device]'` "
        "(on a Jetson JetPack's own serves too)"
    ) from None

__all__ = ["cv2", "silence_opencv"]


def silence_opencv() -> None:
    """Stop OpenCV and FFmpeg from printing: what they say about a camera includes its password."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)
    elif hasattr(cv2.utils, "logging"):  # OpenCV 5
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
