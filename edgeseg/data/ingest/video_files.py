"""Videos sampled by time: every frame is grabbed once, and only the sampled ones become images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.pixel_limits import MAX_PIXELS
from edgeseg.imaging.opencv import cv2, silence_opencv

VIDEO_SUFFIXES = frozenset(
    [
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
    ]
)
ASSUMED_FPS = 25.0  # of a file that tells neither its rate nor any times
TIME_TOLERANCE = 1e-3  # of a sampling interval: containers round the times of frames


def is_video(path: Path) -> bool:
    """Return whether the file's name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


class Video:
    """An open video; made by `open_video`.

    Attributes:
        expected: Frames by the file's own account, 0 if it does not say.
        decoded: Frames decoded so far.
    """

    def __init__(self, path: Path, capture: cv2.VideoCapture) -> None:
        """Read rate, length and size of the video.

        Raises:
            DataError: Its frames are absurdly large.
        """
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
        """Whether clearly less could be decoded than the file promised.

        Containers miscount by a few frames: of 100 promised ones, 93 are enough.
        """
        return self.decoded < 0.95 * self.expected - 2

    def samples(self, fps: float, advance: Callable[[int], None]) -> Iterator[tuple[float, Image]]:
        """Yield the first frame of every 1/fps seconds, with its time in seconds since the start.

        At 0.5 frames a second, the intervals are 2 s long and a frame at time t is in interval
        floor(0.5 t): of frames at 0.0, 0.8, 1.6, 2.4, 3.2 and 4.0 s, in the intervals 0 0 0 1 1 2,
        those at 0.0, 2.4 and 4.0 s are yielded.

        Args:
            advance: Told how many more frames were decoded.

        Yields:
            Time, and (H, W, 3) uint8 RGB.
        """
        last_interval, time = -1, 0.0
        while self._capture.grab():
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            time = self._frame_time(stamp, time)
            self.decoded += 1
            advance(1)
            interval = math.floor(time * fps + TIME_TOLERANCE)
            if interval > last_interval:
                last_interval = interval
                done, image = self._capture.retrieve()
                if done and image is not None:
                    yield time, _to_rgb(np.asarray(image, np.uint8))

    def _frame_time(self, stamp: float, previous: float) -> float:
        """Return a frame's time: its stamp where that is sound, else one frame after the last."""
        if math.isfinite(stamp) and (self.decoded == 0 or stamp > previous):
            return max(stamp, 0.0)
        return previous + 1 / self._rate


def _to_rgb(image: Image) -> Image:
    is_gray = image.ndim == 2 or image.shape[2] == 1
    return np.asarray(
        cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if is_gray else cv2.COLOR_BGR2RGB), np.uint8
    )


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open the video at `path`.

    Raises:
        DataError: It is empty, no video, damaged at the start, or absurdly large.
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
