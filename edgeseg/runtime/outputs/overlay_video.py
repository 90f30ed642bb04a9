"""The overlay video: `edgeseg infer --save out.mp4` draws every prediction into one video file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from edgeseg.atomic_files import MAX_NAME_BYTES, shorten_name
from edgeseg.config import ClassSpec
from edgeseg.errors import EdgesegError
from edgeseg.imaging.video.frame_clock import FrameClock
from edgeseg.imaging.video.pyav import av
from edgeseg.imaging.video.video_writer import FORMATS, VideoWriter
from edgeseg.runtime.backends.base import Prediction
from edgeseg.runtime.outputs.base import Sink, make_output_folder
from edgeseg.runtime.outputs.overlay import Overlay
from edgeseg.runtime.sources.base import SourceFrame

DEFAULT_FPS = 10.0  # of a video made from images, which have no frame rate of their own


class OverlayVideoSink(Sink):
    """Writes the overlay video, as `OUT.partial.mp4` until it is whole.

    Every frame is shown at the time that it has in its source, frames of a camera at the time at
    which they arrived; where a source begins anew, as the next video of a folder does, time goes
    on. The first frame fixes the size of the video; frames of another size are scaled to it.
    """

    def __init__(self, path: Path, classes: Sequence[ClassSpec], fps: float | None) -> None:
        """Check that the place can take a video; nothing is written before the first frame.

        Args:
            path: The video; its suffix chooses format and codec.
            classes: The classes, for colors and legend.
            fps: Frames a second where frames have no times, or None for `DEFAULT_FPS`.

        Raises:
            EdgesegError: No video can have this suffix, or the folder cannot be made.
        """
        if path.suffix.lower() not in FORMATS:
            raise EdgesegError(
                f"{path} cannot be written as a video; end its name in one of {', '.join(FORMATS)}"
            )
        make_output_folder(path.parent)
        self.path, self._partial = path, partial_path(path)
        self._classes, self._fps = classes, fps or DEFAULT_FPS
        self._clock = FrameClock(1 / self._fps)
        self._overlay: Overlay | None = None
        self._file: BinaryIO | None = None
        self._writer: VideoWriter | None = None

    def write(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Draw and encode one frame.

        Raises:
            EdgesegError: The disk does not take it, or FFmpeg cannot encode it.
        """
        if self._overlay is None:
            self._overlay = Overlay(self._classes, *frame.image.shape[:2])
        picture = self._overlay.draw_prediction(frame, prediction)
        try:
            if self._writer is None:
                self._writer = self._open(self._overlay)
            self._writer.write(picture, self._clock.time(frame.time))
        except (OSError, ValueError, av.FFmpegError) as error:
            raise self._failure(error) from None

    def _open(self, overlay: Overlay) -> VideoWriter:
        self._file = open(self._partial, "wb")  # noqa: SIM115  # closed by `finish` and `abort`
        return VideoWriter(
            self._file,
            self.path.suffix.lower(),
            width=overlay.width,
            height=overlay.height,
            fps=self._fps,
        )

    def _failure(self, error: Exception) -> EdgesegError:
        """Return what went wrong with the file, or with the encoder."""
        if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
            return EdgesegError(
                f"{self._partial} cannot be written ({error.strerror}); make room or mend its "
                "permissions, or name another place"
            )
        return EdgesegError(
            f"{self.path} cannot be encoded by this PyAV {av.__version__} "
            f"({getattr(error, 'strerror', '') or error}); name a video of another kind "
            f"({', '.join(FORMATS)}), or save pictures with --save FOLDER"
        )

    def finish(self) -> None:
        """Close the video and give it its final name.

        Raises:
            EdgesegError: Not all of it reached the disk.
        """
        if self._writer is None or self._file is None:
            return
        try:
            self._writer.close()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._partial, self.path)
        except (OSError, ValueError, av.FFmpegError) as error:
            self._writer.abort()
            raise self._failure(error) from None

    def abort(self) -> None:
        """Close the video; what there is stays under the partial name."""
        if self._writer is not None:
            self._writer.abort()
        elif self._file is not None:
            self._file.close()


def partial_path(path: Path) -> Path:
    """Return the name of a video until it is whole, "out.partial.mp4" for "out.mp4"."""
    end = f".partial{path.suffix}"
    return path.with_name(f"{shorten_name(path.stem, MAX_NAME_BYTES - len(end))}{end}")


def is_video_path(path: Path) -> bool:
    """Return whether `path` names a video file and not a folder for images."""
    return bool(path.suffix) and not path.is_dir()
