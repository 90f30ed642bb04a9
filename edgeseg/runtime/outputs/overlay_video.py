"""The overlay video: `edgeseg infer --save out.mp4` draws every prediction into one video file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgeseg.config import ClassSpec
from edgeseg.errors import EdgesegError
from edgeseg.imaging.opencv import cv2
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.outputs.base import Sink, make_output_folder
from edgeseg.runtime.outputs.overlay import Overlay
from edgeseg.runtime.sources.base import SourceFrame

# FourCC by suffix: two encoders that OpenCV's wheels hold, as they do not hold one for H.264.
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
DEFAULT_FPS = 10.0  # of a video made from images, which have no frame rate of their own


class OverlayVideoSink(Sink):
    """Writes the overlay video, as `OUT.partial.mp4` until it is whole.

    The first frame fixes the size of the video; frames of another size are scaled to it.
    """

    def __init__(self, path: Path, classes: Sequence[ClassSpec], fps: float | None) -> None:
        """Check that the place can take a video; nothing is written before the first frame.

        Args:
            path: The video; its suffix chooses the codec.
            classes: The classes, for colors and legend.
            fps: Frames a second, or None for `DEFAULT_FPS`.

        Raises:
            EdgesegError: No video can have this suffix, or the folder cannot be made.
        """
        if path.suffix.lower() not in CODECS:
            raise EdgesegError(
                f"{path} cannot be written as a video; end its name in one of {', '.join(CODECS)}"
            )
        make_output_folder(path.parent)
        self.path, self._partial = path, path.with_suffix(f".partial{path.suffix}")
        self._classes, self._fps = classes, fps or DEFAULT_FPS
        self._overlay: Overlay | None = None
        self._writer: cv2.VideoWriter | None = None
        self._frames = 0

    def write(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Draw and encode one frame.

        Raises:
            EdgesegError: OpenCV cannot write videos of this kind here.
        """
        if self._overlay is None or self._writer is None:
            self._overlay = Overlay(self._classes, *frame.image.shape[:2])
            self._writer = self._open(self._overlay)
        drawn = self._overlay.draw_prediction(frame, prediction)
        self._writer.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        self._frames += 1

    def _open(self, overlay: Overlay) -> cv2.VideoWriter:
        codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        size = (overlay.width, overlay.height)
        writer = cv2.VideoWriter(str(self._partial), codec, self._fps, size)
        if not writer.isOpened():
            raise EdgesegError(
                f"{self.path} cannot be written; check that its folder is writable, "
                "or save pictures with --save FOLDER"
            )
        return writer

    def finish(self) -> None:
        """Close the video and give it its final name.

        Raises:
            EdgesegError: Not every frame reached the disk.
        """
        if self._writer is None:
            return
        self._writer.release()
        # OpenCV says nothing about failed writes, so the file is asked how much it holds.
        written = cv2.VideoCapture(str(self._partial))
        stored = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
        if stored < self._frames:
            raise EdgesegError(
                f"{self.path} could not be written whole ({stored} of {self._frames} frames); "
                "is the disk full?"
            )
        os.replace(self._partial, self.path)

    def abort(self) -> None:
        """Close the video; what there is stays under the partial name."""
        if self._writer is not None:
            self._writer.release()


def is_video_path(path: Path) -> bool:
    """Return whether `path` names a video file and not a folder for images."""
    return bool(path.suffix) and not path.is_dir()
