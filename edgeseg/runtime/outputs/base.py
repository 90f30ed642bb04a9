"""Where predictions go: an overlay video, overlay pictures, masks, JSON lines, the frame log.

Everything is written beside its final name and renamed when it is whole, so that a killed run
leaves no truncated file that looks finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from edgeseg.atomic_files import write_atomic
from edgeseg.config import ClassSpec
from edgeseg.errors import EdgesegError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.opencv import cv2
from edgeseg.imaging.palette_png import palette_png
from edgeseg.imaging.resize import resize_mask
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.outputs.overlay import Overlay
from edgeseg.runtime.sources.base import Frame

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
DEFAULT_FPS = 10.0  # of a video made from pictures
JPEG_QUALITY = 92


class Sink(Protocol):
    """Where predictions go."""

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Take one frame and its prediction (of one frame)."""

    def finish(self) -> None:
        """All frames were given: make the result visible under its final name."""
        return None

    def abort(self) -> None:
        """The run failed: leave nothing half-done under the final name."""
        return None


class Log(Protocol):
    """The part of `edgeseg.runtime.framelog.frame_log.FrameLog` that is used."""

    def offer(
        self,
        image_rgb: Image,
        *,
        camera: str,
        score: float,
        mask: Image | None,
        entropy: NDArray[np.float32] | None,
        monotonic_ns: int,
        wait: bool = False,
    ) -> None:
        """Take the frame if it is worth keeping; waits for the disk only if told to."""


class VideoSink(Sink):
    """Overlay video, `OUT.partial.mp4` until it is whole."""

    def __init__(self, path: Path, classes: Sequence[ClassSpec], fps: float | None) -> None:
        """Note where to write.

        Raises:
            EdgesegError: no video can have this suffix, or the folder cannot be made.
        """
        if path.suffix.lower() not in CODECS:
            raise EdgesegError(
                f"{path} cannot be written as a video; end its name in one of {', '.join(CODECS)}"
            )
        make_folder(path.parent)
        self.path, self._partial = path, path.with_suffix(f".partial{path.suffix}")
        self._classes, self._fps = classes, fps or DEFAULT_FPS
        self._overlay: Overlay | None = None
        self._writer: cv2.VideoWriter | None = None
        self._frames = 0

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Draw and encode one frame.

        Raises:
            EdgesegError: OpenCV cannot write videos of this kind here.
        """
        if self._overlay is None or self._writer is None:
            self._overlay = Overlay(self._classes, *frame.image.shape[:2])
            self._writer = self._open(self._overlay)
        self._writer.write(_draw(self._overlay, frame, prediction))
        self._frames += 1

    def _open(self, overlay: Overlay) -> cv2.VideoWriter:
        code = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        writer = cv2.VideoWriter(
            str(self._partial), code, self._fps, (overlay.width, overlay.height)
        )
        if not writer.isOpened():
            raise EdgesegError(
                f"{self.path} cannot be written; check that its folder is writable, or save pictures with --save FOLDER"
            )
        return writer

    def finish(self) -> None:
        """Close the video and give it its name.

        Raises:
            EdgesegError: not every frame reached the disk.
        """
        if self._writer is None:
            return
        self._writer.release()
        check = cv2.VideoCapture(str(self._partial))
        stored = int(check.get(cv2.CAP_PROP_FRAME_COUNT)) if check.isOpened() else 0
        check.release()
        if stored < self._frames:  # OpenCV says nothing about failed writes
            raise EdgesegError(
                f"{self.path} could not be written whole ({stored} of {self._frames} frames); is the disk full?"
            )
        os.replace(self._partial, self.path)

    def abort(self) -> None:
        """Close the video; what there is stays under the partial name."""
        if self._writer is not None:
            self._writer.release()


class PictureSink(Sink):
    """Overlay pictures in a folder, named like the frames."""

    def __init__(self, folder: Path, classes: Sequence[ClassSpec], suffix: str = ".jpg") -> None:
        """Make the folder.

        Args:
            suffix: ".jpg" or ".png".

        Raises:
            EdgesegError: the folder cannot be made.
        """
        make_folder(folder)
        self._folder, self._classes, self._suffix = folder, classes, suffix
        self._overlays: dict[tuple[int, ...], Overlay] = {}

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Draw and store one frame."""
        size = frame.image.shape[:2]
        overlay = self._overlays.setdefault(size, Overlay(self._classes, *size))
        options = (
            [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
            if self._suffix == ".jpg"
            else [cv2.IMWRITE_PNG_COMPRESSION, 1]
        )
        _, data = cv2.imencode(self._suffix, _draw(overlay, frame, prediction), options)
        store(self._folder / f"{frame.name}{self._suffix}", data.tobytes())


class MaskSink(Sink):
    """Masks at the frames' own size: PNGs of class ids with the classes' colors as palette."""

    def __init__(self, folder: Path, classes: Sequence[ClassSpec]) -> None:
        """Make the folder.

        Raises:
            EdgesegError: the folder cannot be made.
        """
        make_folder(folder)
        self._folder = folder
        self._palette = [spec.rgb for spec in classes]

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Store one mask."""
        mask = resize_mask(prediction.mask[0], (frame.image.shape[0], frame.image.shape[1]))
        store(self._folder / f"{frame.name}.png", palette_png(mask, self._palette))


class JsonSink(Sink):
    """One JSON line per frame: frame, name, camera, time in seconds, score, and the share of each
    class.
    """

    def __init__(self, stream: TextIO, classes: Sequence[ClassSpec], stop: Event) -> None:
        """Take the stream.

        Args:
            stop: is set once nobody reads the stream any more, as after `| head`.
        """
        self.unheard = False
        self._stream, self._stop = stream, stop
        self._names = [spec.name for spec in classes]

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Print one line, at once."""
        area = {
            name: round(share, 5) for name, share in zip(self._names, prediction.area[0].tolist())
        }
        line = {
            "frame": frame.number,
            "name": frame.name,
            "camera": frame.camera,
            "time": None if frame.time is None else round(frame.time, 3),
            "score": round(float(prediction.score[0]), 5),
            "area": area,
        }
        if not self.unheard:
            try:
                print(json.dumps(line), file=self._stream, flush=True)
            except BrokenPipeError:
                self.unheard = True
                self._stop.set()


class LogSink(Sink):
    """Offers every frame to the frame log, which has its own thread and decides by itself."""

    def __init__(self, log: Log, *, wait: bool = False) -> None:
        """Take the log; `wait` for recorded footage, of which no frame has to be missed."""
        self._log, self._wait = log, wait

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Offer one frame."""
        self._log.offer(
            frame.rgb,
            camera=frame.camera,
            score=float(prediction.score[0]),
            mask=prediction.mask[0],
            entropy=prediction.entropy[0],
            monotonic_ns=frame.monotonic_ns,
            wait=self._wait,
        )


def is_video(path: Path) -> bool:
    """Whether `path` names a video and not a folder."""
    return bool(path.suffix) and not path.is_dir()


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it.

    Raises:
        EdgesegError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgesegError(
            f"the folder {folder} cannot be made ({error.strerror}); choose another place"
        ) from None


def store(path: Path, data: bytes) -> None:
    """Write a file under its final name at once or not at all.

    Raises:
        EdgesegError: the disk is full or not writable.
    """
    try:
        write_atomic(path, data, sync=False)
    except OSError as error:
        raise EdgesegError(
            f"{path} cannot be written ({error.strerror}); make room or choose another place"
        ) from None


def _draw(overlay: Overlay, frame: Frame, prediction: Prediction) -> Image:
    return overlay.draw(
        frame.image, prediction.mask[0], float(prediction.score[0]), prediction.area[0]
    )
