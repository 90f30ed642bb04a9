"""Image and video files as sources: every frame in order, none dropped."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

import numpy as np

from edgeseg.errors import DataError, SourceError
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.decoding.picture_reader import PictureReader
from edgeseg.imaging.opencv import cv2, silence_opencv
from edgeseg.runtime.sources.base import SourceFrame, SourceStatistics
from edgeseg.runtime.sources.source_names import safe_name

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
MOST_REASONS = 3  # files that are told why they could not be read
# A video with fewer frames than EXPECTED_SHARE of what it claims, less EXPECTED_SLACK, is damaged.
EXPECTED_SHARE, EXPECTED_SLACK = 0.97, 2


class ImageFiles:
    """Image files in the given order; unreadable ones are counted and named."""

    live = False
    fps: float | None = None

    def __init__(
        self,
        paths: Sequence[Path],
        name: str,
        camera: str | None = None,
        depth: DepthRange | None = None,
    ) -> None:
        """Note the files; none is opened yet.

        Args:
            paths: The files, at least one.
            name: What the user called them.
            camera: What frames call the camera; that of each frame is the name of its folder if
                left out.
            depth: The range of values that becomes 0 to 255 in pictures of more than 8 bits, as
                the bundle brings it along.
        """
        silence_opencv()
        self.name = name
        self.statistics = SourceStatistics()
        self.total: int | None = len(paths)
        self._reader = PictureReader(depth)
        self._paths = list(paths)
        self.reads: Sequence[Path] = self._paths
        self._names = _unique_names(self._paths)
        self._camera = camera

    def frames(self, stop: Event) -> Iterator[SourceFrame]:
        """Decode one image after another, until `stop` is set.

        Raises:
            SourceError: Not one could be decoded.
        """
        number = 0
        reasons: list[str] = []
        try:
            for path, name in zip(self._paths, self._names):
                if stop.is_set():
                    return
                try:
                    image = self._reader.read(path)
                except DataError as error:
                    self.statistics.unreadable.append(path.name)
                    reasons.append(str(error))
                    continue
                camera = self._camera or safe_name(path.resolve().parent.name)
                yield SourceFrame(image, number, name, camera, None, time.monotonic_ns())
                number += 1
        finally:  # also where the pipeline wants no more
            self.statistics.notes += [*reasons[:MOST_REASONS], *self._reader.notes()]
        if not number:
            raise SourceError(
                f"{self.name} holds no readable picture ({len(self._paths)} tried), the first is "
                f"{reasons[0]}; check the files"
            )

    def close(self) -> None:
        """Do nothing: no file stays open."""


class VideoFiles:
    """Video files, one after another, as one source."""

    live = False

    def __init__(self, paths: Sequence[str], name: str, camera: str | None = None) -> None:
        """Look into each file for its length and frame rate.

        Args:
            paths: Files, or addresses of files on a server.
            name: What the user called them.
            camera: What frames call the camera; the name of each file if left out.

        Raises:
            SourceError: None can be opened.
        """
        silence_opencv()
        self.name = name
        self.statistics = SourceStatistics()
        self._camera = camera
        self._clips: list[tuple[str, int]] = []  # path and number of frames, 0 if not known
        self.fps: float | None = None
        self.reads: Sequence[Path] = [Path(path) for path in paths if "://" not in path]
        for path in paths:
            capture = _open_capture(path)
            if not capture.isOpened():
                self.statistics.unreadable.append(_file_name(path))
                continue
            self.fps = self.fps or _plausible_fps(capture.get(cv2.CAP_PROP_FPS))
            self._clips.append((path, int(max(0.0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))))
            capture.release()
        if not self._clips:
            raise SourceError(
                f"{name} cannot be opened as a video; "
                "check that the file is whole and that OpenCV knows its format"
            )
        lengths = [length for _, length in self._clips]
        self.total: int | None = sum(lengths) if all(lengths) else None

    def frames(self, stop: Event) -> Iterator[SourceFrame]:
        """Decode one video after another, until `stop` is set.

        Raises:
            SourceError: There is no frame in any.
        """
        number = 0
        for path, length in self._clips:
            in_clip = 0
            for frame in self._clip_frames(path, number, stop):
                yield frame
                in_clip += 1
            number += in_clip
            if stop.is_set():
                return
            # Some containers only estimate their length, so a few missing frames are no damage.
            if in_clip < EXPECTED_SHARE * length - EXPECTED_SLACK:
                self.statistics.notes.append(
                    f"{_file_name(path)} ended after {in_clip} of {length} frames: "
                    "the file is truncated or damaged"
                )
        if not number:
            raise SourceError(f"{self.name} holds no readable frame; check that the file is whole")

    def _clip_frames(self, path: str, first_number: int, stop: Event) -> Iterator[SourceFrame]:
        stem = safe_name(Path(_file_name(path)).stem)
        prefix = f"{stem}-" if len(self._clips) > 1 else ""
        camera = self._camera or stem
        capture = _open_capture(path)
        index = 0
        try:
            while not stop.is_set():
                read, image = capture.read()
                if not read:
                    return
                yield SourceFrame(
                    image=np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8),
                    number=first_number + index,
                    name=f"{prefix}{index:06d}",
                    camera=camera,
                    time=capture.get(cv2.CAP_PROP_POS_MSEC) / 1000,
                    monotonic_ns=time.monotonic_ns(),
                )
                index += 1
        finally:
            capture.release()

    def close(self) -> None:
        """Do nothing: `frames` closes each file after its last frame."""


def _open_capture(path: str) -> cv2.VideoCapture:
    threads = max(1, (os.cpu_count() or 1) // 2)  # more would only take the cores from inference
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    if not capture.isOpened():
        capture.open(path)  # JetPack's OpenCV has GStreamer instead
    return capture


def _file_name(path: str) -> str:
    """The last part of a path or an address, without the query, which may hold a password."""
    return Path(path.partition("?")[0]).name if "://" in path else Path(path).name


def _plausible_fps(value: float) -> float | None:
    return value if 0 < value < 1000 else None


def _unique_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: its stem where these are unique, else as much as it takes.

    a/1.png a/2.png           1, 2
    a/1.png b/1.png           a__1, b__1
    a/1.png a/1.jpg           1.png, 1.jpg
    """
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    root = os.path.commonpath([path.parent for path in paths])
    relative = [path.relative_to(root).as_posix().replace("/", "__") for path in paths]
    without_suffix = [Path(name).stem for name in relative]
    return without_suffix if len(set(without_suffix)) == len(without_suffix) else relative
