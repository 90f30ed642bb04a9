"""Videos sampled by time: every frame is decoded, and only the sampled ones become images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from edgeseg.imaging.video.video_reader import TimedFrame, VideoReader

TIME_TOLERANCE = 1e-3  # of a sampling interval: containers round the times of frames


def sampled_frames(
    video: VideoReader, fps: float, advance: Callable[[int], None]
) -> Iterator[TimedFrame]:
    """Yield the first undamaged frame of every 1/fps seconds.

    At 0.5 frames a second, the intervals are 2 s long and a frame at time t is in interval
    floor(0.5 t): of frames at 0.0, 0.8, 1.6, 2.4, 3.2 and 4.0 s, in the intervals 0 0 0 1 1 2,
    those at 0.0, 2.4 and 4.0 s are yielded.

    Args:
        video: Is read to its end.
        fps: Samples a second.
        advance: Told how many more frames were decoded.

    Raises:
        UnreadableVideoError: The video has no frame that can be decoded.
    """
    last_interval = -1
    for frame in video.frames():
        advance(1)
        interval = math.floor(frame.time * fps + TIME_TOLERANCE)
        if interval > last_interval and not frame.damaged:
            last_interval = interval
            yield frame
