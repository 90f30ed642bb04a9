"""Videos sampled by time: every frame is decoded, and only the sampled ones become images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from edgeseg.imaging.decoding.depth_range import DeepPixels, DepthRange
from edgeseg.imaging.decoding.picture import Picture
from edgeseg.imaging.video.recorded_video import open_recorded_video
from edgeseg.imaging.video.timed_frame import UnreadableVideoError
from edgeseg.imaging.video.video_reader import VideoReader

DEEP_SAMPLES = 100  # frames by which a range of more than 8 bits is chosen
TIME_TOLERANCE = 1e-3  # of a sampling interval: containers round the times of frames


def sampled_pictures(
    video: VideoReader, fps: float, advance: Callable[[int], None]
) -> Iterator[tuple[float, Picture]]:
    """Yield the first undamaged frame of every 1/fps seconds, and its time in seconds.

    At 0.5 frames a second, the intervals are 2 s long and a frame at time t is in interval
    floor(0.5 t): of frames at 0.0, 0.8, 1.6, 2.4, 3.2 and 4.0 s, in the intervals 0 0 0 1 1 2,
    those at 0.0, 2.4 and 4.0 s are yielded.

    Args:
        video: Is read to its end.
        fps: Samples a second.
        advance: Told how many more frames were decoded.

    Raises:
        UnreadableVideoError: The video has no frame that can be decoded, or only damaged ones.
    """
    last_interval, found = -1, 0
    for frame in video.frames():
        advance(1)
        interval = math.floor(frame.time * fps + TIME_TOLERANCE)
        if interval <= last_interval or frame.damaged:
            continue
        picture = video.picture(frame)
        if picture is not None:
            last_interval = interval
            found += 1
            yield frame.time, picture
    video.check_pictures(found)
    if not found:
        frames = "one frame, which is" if video.decoded == 1 else f"{video.decoded} frames, all"
        raise UnreadableVideoError(f"holds {frames} damaged")


def deep_samples(path: Path, fps: float) -> Iterator[tuple[DeepPixels, DepthRange]]:
    """Yield values and full range of the first samples of a video with more than 8 bits.

    Raises:
        UnreadableVideoError: It cannot be opened.
    """
    with open_recorded_video(path) as video:
        samples = sampled_pictures(video, fps, lambda count: None)
        for _, picture in islice(samples, DEEP_SAMPLES):
            if picture.container is not None:
                yield picture.values, picture.container
