"""Streams and files on a network, opened by FFmpeg with time-outs: a silent server holds nobody."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from edgeseg.errors import SourceError
from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.decoding.pixel_limits import MAX_PIXELS
from edgeseg.imaging.video.frame_pixels import FrameConverter
from edgeseg.imaging.video.pyav import av
from edgeseg.imaging.video.stream_facts import plausible_fps
from edgeseg.imaging.video.timed_frame import UnreadableVideoError
from edgeseg.imaging.video.video_reader import READ_ERRORS, video_stream
from edgeseg.runtime.sources.source_names import redact

OPEN_SECONDS = 9.0  # for connecting, and as much again for the first three pictures or so
READ_SECONDS = 8.0  # for each packet; some cameras send a picture every few seconds
BLIND_SECONDS = 10.0  # with packets but without a picture, after which a camera is lost
MOST_BAD_READS = 50  # in a row: more are no disturbance
AFTER_QUESTION_SECONDS = 1.0  # until a server has noticed that a client is gone
LARGE = 1920 * 1200  # pixels of a frame beyond which one core may be too slow to decode it
# FFmpeg asks RTSP servers for UDP otherwise, whose packets get lost on busy networks.
LIVE_OPTIONS = {"rtsp_flags": "prefer_tcp", "max_pixels": str(MAX_PIXELS)}
# A dropped connection to a file on a server is made anew where it broke off.
RECORDING_OPTIONS = {
    "reconnect": "1",
    "reconnect_on_network_error": "1",
    "reconnect_delay_max": "5",
    "max_pixels": str(MAX_PIXELS),
}
# These formats carry no times, so the rate that FFmpeg tells for them is made up.
WITHOUT_RATE = ("mpjpeg", "mjpeg")


def open_stream(address: str, *, live: bool = True) -> Any:  # Any: av.container.InputContainer
    """Open an address.

    Raises:
        av.FFmpegError: It cannot be opened; the message holds the address with its password.
    """
    options = LIVE_OPTIONS if live else RECORDING_OPTIONS
    return av.open(
        address, options=options, timeout=(OPEN_SECONDS, READ_SECONDS), metadata_errors="replace"
    )


def is_finished_playlist(address: str) -> bool:
    """Return whether a playlist (HLS) has an end; one of a live camera grows for ever.

    Raises:
        SourceError: It is of a kind that this FFmpeg cannot read.
    """
    if address.partition("?")[0].lower().endswith(".mpd") and "dash" not in av.formats_available:
        raise SourceError(
            f"{redact(address)} is a DASH playlist, for which there is no reader here; "
            "give the camera's HLS (.m3u8) or RTSP address"
        )
    try:
        container = open_stream(address, live=False)
    except READ_ERRORS:
        return False  # the attempt to open it as a camera says so
    try:
        return container.duration is not None
    finally:
        container.close()


class NetworkCapture:
    """A live network stream, one picture at a time.

    Attributes:
        fps: Frames a second, None if the stream does not say.
    """

    def __init__(self, address: str, depth: DepthRange | None = None) -> None:
        """Open the stream.

        Args:
            address: Of a camera or a server.
            depth: The range of gray pictures of more than 8 bits; all they can hold if left out.

        Raises:
            av.FFmpegError: It cannot be opened.
            UnreadableVideoError: It holds no video.
        """
        self._depth = depth
        self._container = open_stream(address)
        self._stream = video_stream(self._container)
        self._codec = self._stream.codec_context
        if self._codec is None:
            raise UnreadableVideoError("sends video for which there is no decoder here")
        # Threads that decode several frames at once would hold each back by as many.
        is_large = (self._codec.width or 0) * (self._codec.height or 0) > LARGE
        self._codec.thread_type = "AUTO" if is_large else "SLICE"
        self._codec.thread_count = max(1, (os.cpu_count() or 1) // 2)
        self._codec.options = {"max_pixels": str(MAX_PIXELS)}
        has_rate = self._container.format.name not in WITHOUT_RATE
        self.fps = plausible_fps(self._stream) if has_rate else None
        self._converter = FrameConverter()
        self._packets = self._demuxed_packets()
        self._frames: deque[av.VideoFrame] = deque()

    def read(self) -> Image | None:
        """Return the next picture, (H, W, 3) uint8 RGB; None once the stream is lost.

        A packet or a frame that is damaged is passed over.
        """
        began = time.monotonic()
        while time.monotonic() - began < BLIND_SECONDS:
            try:
                while not self._frames:
                    packet = next(self._packets, None)
                    if packet is None:
                        return None
                    self._frames.extend(self._codec.decode(packet))
                    if time.monotonic() - began > BLIND_SECONDS:
                        return None
                return self._converter.picture(self._frames.popleft()).rgb(self._depth)
            except (*READ_ERRORS, ValueError):
                continue
        return None

    def release(self) -> None:
        """Close the stream."""
        self._container.close()

    def _demuxed_packets(self) -> Iterator[Any]:  # Any: av.Packet
        """Yield packets until the server ends the stream, falls silent, or sends rubbish only."""
        bad_reads = 0
        while bad_reads < MOST_BAD_READS:
            try:
                asked = time.monotonic()
                for packet in self._container.demux(self._stream):
                    # What arrives at the very time-out is what FFmpeg still held.
                    if time.monotonic() - asked >= READ_SECONDS:
                        return
                    if packet.size:  # an empty one would drain the decoder
                        bad_reads = 0
                        yield packet
                    asked = time.monotonic()
                return
            except av.InvalidDataError:
                bad_reads += 1
            except READ_ERRORS:
                return


def network_connector(
    address: str, depth: DepthRange | None = None, *, was_asked: bool = False
) -> Callable[[], NetworkCapture | None]:
    """Return a function that opens an address; what it returns is None if that fails.

    Args:
        address: Of a camera or a server.
        depth: See `NetworkCapture`.
        was_asked: Whether the server was asked a question before. A camera that serves one client
            at a time may not have noticed yet that this client is gone: it gets a second attempt.
    """

    def connect() -> NetworkCapture | None:
        for pause in (0.0, AFTER_QUESTION_SECONDS) if was_asked else (0.0,):
            time.sleep(pause)
            try:
                return NetworkCapture(address, depth)
            except READ_ERRORS:
                continue
        return None

    return connect
