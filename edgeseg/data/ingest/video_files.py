"""Videos sampled by time: every frame is decoded once, only those that are kept are turned into
images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgeseg.data.ingest.image_files import MAX_PIXELS, Rgb
from edgeseg.errors import DataError
from edgeseg.imaging.opencv import cv2, silence_opencv

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".mjpg",
        ".mjpeg",
    }
)
ASSUMED_FPS = 25.0  # of a file that tells neither its rate nor any times


def is_video(path: Path) -> bool:
    """Whether the file's name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


class Video:
    """An open video; made by `open_video`.

    Attributes:
        expected: frames by the file's own account, 0 if it does not say.
        decoded: frames decoded so far.
    """

    def __init__(self, path: Path, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._rate = rate if math.isfinite(rate) and 0.01 <= rate <= 1000 else ASSUMED_FPS
        self.expected = int(count) if math.isfinite(count) and 0 < count < 1e9 else 0
        self.decoded = 0
        pixels = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if pixels > MAX_PIXELS:
            raise DataError(
                f"{path}: declares frames of {pixels:.0f} pixels, more than {MAX_PIXELS}"
            )

    @property
    def cut_short(self) -> bool:
        """Whether clearly less could be decoded than the file promised; containers miscount by a
        few frames.
        """
        return self.decoded < 0.95 * self.expected - 2

    def samples(self, fps: float, tick: Callable[[int], None]) -> Iterator[tuple[float, Rgb]]:
        """The first frame of every 1/fps seconds, with its time in seconds since the start.

        Args:
            tick: told how many more frames were decoded.
        """
        last, time = -1, 0.0
        while self._capture.grab():
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            known = self.decoded == 0 or (math.isfinite(stamp) and stamp > time)
            time = max(stamp, 0.0) if known and math.isfinite(stamp) else time + 1 / self._rate
            self.decoded += 1
            tick(1)
            slot = math.floor(time * fps + 1e-3)
            if slot > last:
                last = slot
                done, image = self._capture.retrieve()
                if done and image is not None:
                    yield time, _rgb(np.asarray(image, np.uint8))


def _rgb(image: Rgb) -> Rgb:
    code = cv2.COLOR_GRAY2RGB if image.ndim == 2 or image.shape[2] == 1 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, code), np.uint8)


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """The video at `path`.

    Raises:
        DataError: it is empty, no video, damaged at the start, or absurdly large.
    """
    try:
        if not path.stat().st_size:
            raise DataError(f"{path}: is empty")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    silence_opencv()
    capture = cv2.VideoCapture()
    try:
        if not capture.open(str(path), cv2.CAP_FFMPEG):
            raise DataError(f"{path}: is no video that OpenCV can decode")
        yield Video(path, capture)
    finally:
        capture.release()
