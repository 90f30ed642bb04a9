"""What a container says about its video: rate, length and clock, as far as it can be believed."""

from __future__ import annotations

from typing import Any

from edgeseg.imaging.video.pyav import av

LEAST_FPS, MOST_FPS = 0.0001, 1000.0  # rates beyond are mistakes of the container
MOST_FRAMES = 1e9  # more are no number of frames

# Any: av.container.InputContainer and av.video.stream.VideoStream, whose types differ by version.
Container = Any
Stream = Any


def plausible_fps(stream: Stream) -> float | None:
    """Return the frames a second of a stream, None where none are told that can be."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and LEAST_FPS <= rate <= MOST_FPS:
            return float(rate)
    return None


def packets_by_index(container: Container, stream: Stream) -> int:
    """Return the number of packets by the container's index or header, 0 if it has none.

    In a fragmented file the index grows while it is read, so what it holds at the start is no
    length; but such a file tells no number of frames either.
    """
    frames = int(stream.frames)
    if not 0 < frames < MOST_FRAMES:
        return 0
    # An edit list hides some of the frames that the header of a MOV or MP4 file counts.
    is_mov = "mov" in container.format.name.split(",")
    return min(frames, len(stream.index_entries) or frames) if is_mov else frames


def frames_by_duration(container: Container, stream: Stream, fps: float | None) -> int:
    """Return the number of frames by length and rate, 0 if either is not told."""
    seconds = 0.0
    if stream.duration is not None and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / av.time_base
    frames = seconds * (fps or 0.0)
    return round(frames) if 0 < frames < MOST_FRAMES else 0


def seconds_expected(container: Container, stream: Stream) -> float:
    """Return the length that a Matroska file claims for its video, 0 if it does not.

    Of the whole file's length it is the video's only where nothing else is in the file.
    """
    if "matroska" not in container.format.name:
        return 0.0
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        pass
    is_alone = len(container.streams) == 1
    return (container.duration or 0) / av.time_base if is_alone else 0.0


def clock_may_jump(container: Container) -> bool:
    """Return whether the format's clock may be set anew inside, as that of MPEG-TS may."""
    return bool(container.format.flags & av.format.Flags.ts_discont.value)
