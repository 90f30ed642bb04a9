"""Decodes a video from its first frame to its last, over whatever is damaged in between.

FFmpeg reports a bad packet and can go on with the next; so does this reader, which counts what it
loses. It gives up where nothing comes any more, and then says what there was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from edgeseg.imaging.decoding.picture import Picture
from edgeseg.imaging.decoding.pixel_limits import MAX_PIXELS
from edgeseg.imaging.video.frame_clock import FrameClock
from edgeseg.imaging.video.frame_pixels import FrameConverter
from edgeseg.imaging.video.pyav import av
from edgeseg.imaging.video.stream_facts import (
    clock_may_jump,
    frames_by_duration,
    packets_by_index,
    plausible_fps,
    seconds_expected,
)
from edgeseg.imaging.video.timed_frame import CURE, TimedFrame, UnreadableVideoError

ASSUMED_FPS = 25.0  # of a video that tells neither its rate nor any times
MOST_FAILURES = 50  # reads in a row that give no packet, before the rest is given up
MOST_FRUITLESS = 2000  # packets without a first frame, before the codec is called undecodable
# A video with fewer packets than EXPECTED_SHARE of what it claims, less EXPECTED_SLACK, is cut off.
EXPECTED_SHARE, EXPECTED_SLACK = 0.97, 2
SECONDS_SLACK = 2.0  # likewise, in containers that tell their length in seconds only
SMALL_SHARE = 0.01  # so few of the frames, lost before the first one, are no damage
# Codecs of which some packets give no frame by design: hidden references, placeholders.
HIDDEN_FRAMES = ("vp8", "vp9", "av1", "mpeg4", "h263", "vc1", "wmv3")
READ_ERRORS = (av.FFmpegError, OSError)


class VideoReader:
    """The first good video stream of an open container.

    Attributes:
        expected: Frames by the container's own account, 0 if it does not say.
        fps: Frames a second, None if the container does not say or cannot be believed.
        decoded: Frames decoded so far.
        errors: Packets that could not be decoded so far. After one of them a decoder may leave out
            further frames without a word, up to the next that needs no others.
    """

    def __init__(
        self, container: Any, *, threads: int = 0, most_failures: int = MOST_FAILURES
    ) -> None:  # Any: av.container.InputContainer
        """Choose the stream.

        Args:
            container: Is closed by `close`.
            threads: Number of threads that decode, 0 for as many as there are cores.
            most_failures: Reads in a row that may fail before the rest is given up.

        Raises:
            UnreadableVideoError: There is no video in the container, or no decoder for it.
        """
        self._container, self._most_failures = container, most_failures
        self._stream = video_stream(container)
        self._codec = self._stream.codec_context
        if self._codec is None:
            raise UnreadableVideoError(f"holds video for which there is no decoder here; {CURE}")
        self._codec.thread_type = "AUTO"
        self._codec.thread_count = threads or os.cpu_count() or 1
        self._codec.options = {"max_pixels": str(MAX_PIXELS)}
        self.fps = plausible_fps(self._stream)
        self._packets_expected = packets_by_index(container, self._stream)
        self.expected = self._packets_expected or frames_by_duration(
            container, self._stream, self.fps
        )
        self.decoded = self.errors = 0
        self._packets = self._errors_before_first = self._shown_damage = 0
        self._hidden = 0  # packets that an edit list hides
        self._disturbances = 0  # places that could not be read, with packets behind them
        self._fault: UnreadableVideoError | None = None  # of the first frame without a picture
        self._missing = 0  # frames for which there was time between the two frames around an error
        self._seconds = 0.0  # of the last packet's end
        self._read_failed = False

    @property
    def codec_name(self) -> str:
        """What FFmpeg calls the codec, such as h264."""
        return str(self._codec.codec.canonical_name)

    def frames(self) -> Iterator[TimedFrame]:
        """Yield every frame that can be decoded, in the order in which they are shown.

        Raises:
            UnreadableVideoError: There is not one.
        """
        step = 1 / (self.fps or ASSUMED_FPS)
        clock = FrameClock(step, may_jump=clock_may_jump(self._container))
        base = float(self._stream.time_base or 0)
        duration, converter = 0.0, FrameConverter()
        last_time, last_events = 0.0, 0
        for frame in self._decoded_frames():
            stamp = frame.pts if frame.pts is not None else frame.dts
            time = clock.time(None if stamp is None else stamp * base, duration)
            events = self.errors + self._disturbances
            if self.decoded and events > last_events:
                self._missing += max(0, round((time - last_time) / (duration or step)) - 1)
            last_time, last_events = time, events
            duration = (frame.duration or 0) * base
            self.decoded += 1
            self._shown_damage += frame.is_corrupt
            yield TimedFrame(time, frame.is_corrupt, frame, converter)
        if not self.decoded:
            raise UnreadableVideoError(self._why_nothing())

    def picture(self, frame: TimedFrame) -> Picture | None:
        """Convert a frame to a picture; None, and one more error, if its pixels cannot be."""
        try:
            return frame.picture()
        except UnreadableVideoError as error:
            self.errors += 1
            self._fault = self._fault or error
            return None

    def check_pictures(self, found: int) -> None:
        """See, after the last frame, that there was a picture.

        Args:
            found: Number of pictures that `picture` gave.

        Raises:
            UnreadableVideoError: There was none; it is the reason of the first frame.
        """
        if not found and self._fault is not None:
            raise self._fault

    def losses(self) -> list[str]:
        """Return a sentence without subject for each kind of loss; complete after the last frame.

        "ended after 300 of 600 frames: the file is truncated or damaged"
        """
        found = []
        if self._packets_expected and _is_less(self._packets, self._packets_expected):
            found.append(f"ended after {self.decoded} of {self._packets_expected} frames")
        elif (seconds := seconds_expected(self._container, self._stream)) and (
            self._seconds < EXPECTED_SHARE * seconds - SECONDS_SLACK
        ):
            found.append(f"ended after {self._seconds:.0f} of {seconds:.0f} seconds")
        elif self._read_failed:
            found.append(f"ended after {self.decoded} frames, where it cannot be read any further")
        found = [f"{ended}: the file is truncated or damaged" for ended in found]
        silent = self._silent_losses()
        inside = self.errors - self._errors_before_first
        if inside or self._disturbances or self._errors_before_first > SMALL_SHARE * self._packets:
            lost = max(self.errors + silent, self._missing, 1)
            are = "frame, which is" if lost == 1 else "frames, which are"
            more = f"; {self._shown_damage} more show damage" if self._shown_damage else ""
            found.append(f"has {lost} damaged {are} left out{more}")
        elif silent:
            found.append(f"gave no frame for {silent} of its {self._packets} packets")
        elif self._shown_damage:
            shows = "frame that shows" if self._shown_damage == 1 else "frames that show"
            found.append(f"has {self._shown_damage} {shows} damage")
        return found

    def _silent_losses(self) -> int:
        """Return the number of packets for which the decoder gave neither frame nor error.

        A few are usual, at the beginning of a recording that was cut out of a longer one; and where
        each packet is one field of a frame, one in two.
        """
        packets = self._packets - self._hidden
        silent = packets - self.decoded - self.errors
        are_fields = abs(2 * self.decoded - packets) <= SMALL_SHARE * packets + 1
        if self.codec_name in HIDDEN_FRAMES or are_fields:
            return 0
        return silent if silent > SMALL_SHARE * packets else 0

    def close(self) -> None:
        """Close the container."""
        self._container.close()

    def _decoded_frames(self) -> Iterator[av.VideoFrame]:
        for packet in self._demuxed_packets():
            yield from self._decode(packet)
            if not self.decoded and self._packets >= MOST_FRUITLESS:
                break
        yield from self._decode(None)  # what the decoder still holds

    def _demuxed_packets(self) -> Iterator[Any]:  # Any: av.Packet
        """Yield the packets of the stream, over failed reads."""
        failures, first = 0, None
        while failures < self._most_failures:
            try:
                for packet in self._container.demux(self._stream):
                    # At the end PyAV adds a packet that would drain the decoder; some containers
                    # hold empty ones in the middle, which would do the same.
                    if not packet.size:
                        continue
                    self._disturbances += failures > 0
                    failures = 0
                    self._packets += 1
                    self._hidden += packet.is_discard
                    if packet.dts is not None:
                        # Some clocks begin late, and some lengths are told from zero.
                        first = min(packet.dts, 0) if first is None else first
                        ends = packet.dts - first + (packet.duration or 0)
                        self._seconds = max(self._seconds, float(ends * self._stream.time_base))
                    yield packet
                return
            except READ_ERRORS:
                failures += 1
        self._read_failed = True

    def _decode(self, packet: Any) -> list[av.VideoFrame]:  # Any: av.Packet, or None
        try:
            return list(self._codec.decode(packet))
        except EOFError:
            return []
        except (*READ_ERRORS, ValueError, MemoryError):
            self.errors += 1
            self._errors_before_first += not self.decoded
            return []

    def _why_nothing(self) -> str:
        if not self._packets:
            return "holds no frames: it was cut off or never finished when it was recorded"
        return (
            f"holds {self.codec_name} video of which no frame can be decoded here; "
            f"if it plays elsewhere, {CURE}"
        )


def video_stream(container: Any) -> Any:  # Any: av.video.stream.VideoStream
    """Return the stream that FFmpeg would choose, but no cover of a piece of music.

    Raises:
        UnreadableVideoError: There is none.
    """
    cover = av.stream.Disposition.attached_pic
    videos = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not videos:
        sound = "sound, but " if container.streams.audio else ""
        raise UnreadableVideoError(f"holds {sound}no video")
    best = container.streams.best("video")
    return best if best in videos else videos[0]


def _is_less(found: int, expected: int) -> bool:
    return found < EXPECTED_SHARE * expected - EXPECTED_SLACK
