"""Video files as a source: one after another, every frame in order, none dropped."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from threading import Event

from edgeseg.errors import SourceError
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.decoding.picture_file import UnreadablePictureError
from edgeseg.imaging.decoding.picture_reader import PictureReader
from edgeseg.imaging.video.recorded_video import open_recorded_video
from edgeseg.imaging.video.timed_frame import UnreadableVideoError
from edgeseg.imaging.video.video_reader import READ_ERRORS, VideoReader
from edgeseg.runtime.sources.base import SourceFrame, SourceStatistics
from edgeseg.runtime.sources.network_stream import open_stream
from edgeseg.runtime.sources.source_names import unique_safe_names

LOOKED_INTO = 50  # files that are opened beforehand for their length; more would take long
MOST_REASONS = 3  # files that are told why they could not be read
MOST_NETWORK_FAILURES = 3  # reads in a row, each of which waits for the server


class VideoFiles:
    """Video files, or one on a server, as one source."""

    live = False

    def __init__(
        self,
        paths: Sequence[Path | str],
        name: str,
        camera: str | None = None,
        *,
        depth: DepthRange | None = None,
    ) -> None:
        """Look into the files for length and frame rate.

        Args:
            paths: Files, or addresses of files on a server as strings.
            name: What the user called them.
            camera: What frames call the camera; the name of each file if left out.
            depth: The range of gray frames of more than 8 bits; all they can hold if left out.

        Raises:
            SourceError: None can be opened.
        """
        self.name = name
        self.statistics = SourceStatistics()
        self.reads: Sequence[Path] = [path for path in paths if isinstance(path, Path)]
        self._camera, self._depth, self._reader = camera, depth, PictureReader(depth)
        self._several = len(paths) > 1
        self.fps: float | None = None
        files = [path if isinstance(path, Path) else Path(_file_name(path)) for path in paths]
        self._clips = list(zip(paths, unique_safe_names(files)))
        self.total: int | None = None
        self._reasons: list[str] = []
        self._look_into_files()

    def _look_into_files(self) -> None:
        lengths = []
        for clip in self._clips[:LOOKED_INTO]:
            try:
                with _open(clip[0]) as video:
                    self.fps = self.fps or video.fps
                    lengths.append(video.expected)
            except UnreadableVideoError as error:
                self._leave_out(clip, error)
        if not self._clips:
            raise SourceError(self._why_nothing())
        if len(lengths) == len(self._clips) and all(lengths):
            self.total = sum(lengths)

    def frames(self, stop: Event) -> Iterator[SourceFrame]:
        """Decode one video after another, until `stop` is set.

        Raises:
            SourceError: There is no frame in any.
        """
        number = 0
        try:
            for clip in list(self._clips):
                try:
                    with _open(clip[0]) as video:
                        for frame in self._clip_frames(video, clip, number, stop):
                            yield frame
                            number += 1
                        if stop.is_set():
                            return
                        name = _file_name(clip[0])
                        self.statistics.notes += [f"{name} {loss}" for loss in video.losses()]
                except (UnreadableVideoError, UnreadablePictureError) as error:
                    self._leave_out(clip, error)
        finally:  # also where the pipeline wants no more
            self.statistics.notes += self._reader.notes()
            if number:
                self.statistics.notes += self._reasons[:MOST_REASONS]
        if not number:
            raise SourceError(self._why_nothing())

    def _clip_frames(
        self, video: VideoReader, clip: tuple[Path | str, str], first_number: int, stop: Event
    ) -> Iterator[SourceFrame]:
        path, name = clip
        prefix = f"{name}-" if self._several else ""
        index = 0
        for frame in video.frames():
            if stop.is_set():
                return
            picture = video.picture(frame)
            if picture is None:
                continue
            yield SourceFrame(
                # The first frame tells for all whether the range of deep ones fits.
                image=picture.rgb(self._depth)
                if index
                else self._reader.rgb(picture, Path(_file_name(path))),
                number=first_number + index,
                name=f"{prefix}{index:06d}",
                camera=self._camera or name,
                time=frame.time,
                monotonic_ns=time.monotonic_ns(),
            )
            index += 1
        video.check_pictures(index)

    def _leave_out(self, clip: tuple[Path | str, str], error: ValueError) -> None:
        """Note a file that gives nothing, and why."""
        self._clips.remove(clip)
        name = _file_name(clip[0])
        self.statistics.unreadable.append(name)
        self._reasons.append(f"{name if self._several else self.name} {error}")

    def _why_nothing(self) -> str:
        more = f"; nor can {len(self._reasons) - 1} more files" if len(self._reasons) > 1 else ""
        return self._reasons[0] + more

    def close(self) -> None:
        """Do nothing: `frames` closes each file after its last frame."""


def _open(path: Path | str) -> AbstractContextManager[VideoReader]:
    # More threads than half the cores would only take the cores from inference.
    threads = max(1, (os.cpu_count() or 1) // 2)
    if isinstance(path, Path):
        return open_recorded_video(path, threads=threads)
    return _open_on_server(path, threads)


@contextmanager
def _open_on_server(address: str, threads: int) -> Iterator[VideoReader]:
    """Open a video on a server.

    Raises:
        UnreadableVideoError: It cannot be opened; the message does not hold the address.
    """
    try:
        container = open_stream(address, live=False)
    except READ_ERRORS as error:
        raise UnreadableVideoError(
            f"cannot be opened as a video ({error.strerror}); "
            "check that it plays in a video player, or fetch it and name the file"
        ) from None
    try:
        yield VideoReader(container, threads=threads, most_failures=MOST_NETWORK_FAILURES)
    finally:
        container.close()


def _file_name(path: Path | str) -> str:
    """The last part of a path or an address, without the query, which may hold a password."""
    if isinstance(path, Path):
        return path.name
    place = path.partition("://")[2].partition("?")[0].partition("#")[0]
    return PurePosixPath(place.rpartition("@")[2]).name or "the video"
