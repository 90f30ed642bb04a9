"""Pictures and videos as sources: every frame in order, none dropped."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import numpy as np

from edgeseg.errors import SourceError
from edgeseg.imaging.image_codec import read_image
from edgeseg.imaging.opencv import cv2, silence_opencv
from edgeseg.runtime.sources.base import Frame, SourceStatistics, safe_name

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".avi",
        ".mkv",
        ".mov",
        ".m4v",
        ".mpg",
        ".mpeg",
        ".ts",
        ".webm",
        ".wmv",
        ".h264",
        ".mjpeg",
    }
)


class ImageFiles:
    """Image files in the given order; unreadable ones are counted and named."""

    live = False
    fps: float | None = None

    def __init__(self, paths: Sequence[Path], name: str, camera: str | None = None) -> None:
        silence_opencv()
        self.name = name
        self.statistics = SourceStatistics()
        self.total: int | None = len(paths)
        self._paths = list(paths)
        self._names = _unique_names(self._paths)
        self._camera = camera

    def frames(self, stop: Event) -> Iterator[Frame]:
        """Decode one picture after another.

        Raises:
            SourceError: not one could be decoded.
        """
        number = 0
        for path, name in zip(self._paths, self._names):
            if stop.is_set():
                return
            image = read_image(path)
            if image is None:
                self.statistics.unreadable.append(path.name)
                continue
            camera = self._camera or safe_name(path.resolve().parent.name)
            yield Frame(image, number, name, camera, None, time.monotonic_ns())
            number += 1
        if not number:
            raise SourceError(
                f"{self.name} holds no readable picture ({len(self._paths)} tried, {self._paths[0].name} first); "
                "check the files"
            )

    def close(self) -> None:
        pass


class VideoFiles:
    """Video files, one after another."""

    live = False

    def __init__(self, paths: Sequence[str], name: str, camera: str | None = None) -> None:
        """Look into each file.

        Args:
            paths: files, or addresses of files on a server.

        Raises:
            SourceError: none can be opened.
        """
        silence_opencv()
        self.name = name
        self.statistics = SourceStatistics()
        self._camera = camera
        self._clips: list[tuple[str, int]] = []
        self.fps: float | None = None
        for path in paths:
            capture = _open(path)
            if not capture.isOpened():
                self.statistics.unreadable.append(_name(path))
                continue
            self.fps = self.fps or _positive(capture.get(cv2.CAP_PROP_FPS))
            self._clips.append((path, int(max(0.0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))))
            capture.release()
        if not self._clips:
            raise SourceError(
                f"{name} cannot be opened as a video; check that the file is whole and that OpenCV knows its format"
            )
        lengths = [length for _, length in self._clips]
        self.total: int | None = sum(lengths) if all(lengths) else None

    def frames(self, stop: Event) -> Iterator[Frame]:
        """Decode one video after another.

        Raises:
            SourceError: there is no frame in any.
        """
        number = 0
        for path, length in self._clips:
            stem = safe_name(Path(_name(path)).stem)
            prefix = f"{stem}-" if len(self._clips) > 1 else ""
            capture = _open(path)
            read = 0
            try:
                while not stop.is_set():
                    done, image = capture.read()
                    if not done:
                        break
                    seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                    camera = self._camera or stem
                    yield Frame(
                        np.asarray(image, np.uint8),
                        number,
                        f"{prefix}{read:06d}",
                        camera,
                        seconds,
                        time.monotonic_ns(),
                    )
                    number, read = number + 1, read + 1
            finally:
                capture.release()
            if stop.is_set():
                return
            if read < 0.97 * length - 2:  # containers without an index only estimate their length
                what = "the file is truncated or damaged"
                self.statistics.notes.append(
                    f"{_name(path)} ended after {read} of {length} frames: {what}"
                )
        if not number:
            raise SourceError(f"{self.name} holds no readable frame; check that the file is whole")

    def close(self) -> None:
        pass


def _open(path: str) -> cv2.VideoCapture:
    threads = max(1, (os.cpu_count() or 1) // 2)  # more would only take the cores from inference
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    if not capture.isOpened():
        capture.open(path)  # JetPack's OpenCV has GStreamer instead
    return capture


def _name(path: str) -> str:
    return Path(path.partition("?")[0]).name if "://" in path else Path(path).name


def _positive(value: float) -> float | None:
    return value if 0 < value < 1000 else None


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """A file name without suffix for each path: the stem where that is unique, else as much of the
    path as it takes.
    """
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    root = os.path.commonpath([path.parent for path in paths])
    relative = [path.relative_to(root).as_posix().replace("/", "__") for path in paths]
    shorter = [Path(name).stem for name in relative]
    return shorter if len(set(shorter)) == len(shorter) else relative
