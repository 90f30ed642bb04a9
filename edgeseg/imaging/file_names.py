"""File names: which ones are images and videos, and the order in which people number them."""

from __future__ import annotations

import re
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
# MPEG-4 and QuickTime, Matroska and WebM, AVI, Windows Media, Flash, Ogg.
CONTAINERS = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mkv", ".webm"),
    *(".avi", ".divx", ".wmv", ".asf", ".flv", ".ogv", ".ogm"),
)
# Program and transport streams: discs, camcorders, receivers, network recorders.
STREAMS = (
    *(".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".vob"),
    *(".ts", ".m2t", ".mts", ".m2ts", ".trp"),
)
# Studio formats, and bare streams without a container.
BARE = (
    *(".mxf", ".dv", ".y4m", ".nut", ".ivf", ".obu", ".mjpg", ".mjpeg"),
    *(".h264", ".264", ".avc", ".h265", ".265", ".hevc"),
)
VIDEO_SUFFIXES = frozenset((*CONTAINERS, *STREAMS, *BARE))


def is_image(path: Path) -> bool:
    """Return whether the file's name is that of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_video(path: Path) -> bool:
    """Return whether the file's name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def natural_sort_key(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts frame_2 before frame_10.

    Digits compare as numbers and stand behind everything else: "frame_10" becomes
    [(-1, "frame_"), (10, "")].
    """
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", str(path))
        if part
    ]
