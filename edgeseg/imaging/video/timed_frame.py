"""A decoded frame with its time, and the error of a video that gives none."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.imaging.decoding.picture import Picture
from edgeseg.imaging.video.frame_pixels import FrameConverter
from edgeseg.imaging.video.pyav import av

CURE = "convert it with `ffmpeg -i IN -c:v libx264 OUT.mp4`"


class UnreadableVideoError(ValueError):
    """A video that gives no frame; the message is a reason that follows the name of the file."""


@dataclass(frozen=True)
class TimedFrame:
    """One decoded frame.

    Attributes:
        time: Seconds since the first frame of the video; more than that of the frame before.
        damaged: Whether the decoder had to make up parts of it.
        frame: As FFmpeg decoded it.
        converter: Of the video, which makes pictures of its frames.
    """

    time: float
    damaged: bool
    frame: av.VideoFrame
    converter: FrameConverter

    def picture(self) -> Picture:
        """Convert the frame to a picture, upright.

        Raises:
            UnreadableVideoError: FFmpeg cannot convert its pixels.
        """
        try:
            return self.converter.picture(self.frame)
        except (av.FFmpegError, ValueError):
            raise UnreadableVideoError(
                f"has pixels ({self.frame.format.name}) that cannot be converted to RGB; {CURE}"
            ) from None
