"""Streams and files on a network, opened by FFmpeg with time-outs: a silent server holds nobody."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.pixel_limits import MAX_PIXELS
from edgeseg.imaging.video.frame_pixels import frame_picture
from edgeseg.imaging.video.pyav import av
from edgeseg.imaging.video.video_reader import (
    READ_ERRORS,
    UnreadableVideoError,
    plausible_fps,
    video_stream,
)

OPEN_SECONDS = 5.0  # for connecting, and as much again for the first packets
READ_SECONDS = 8.0  # for each packet; some cameras send a picture every few seconds
BLIND_SECONDS = 10.0  # with packets but without a picture, after which a camera is lost
MOST_BAD_READS = 50  # in a row: more are no disturbance
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
        address,
        options=options,
        timeout=(OPEN_SECONDS, READ_SECONDS),
        metadata_errors="replace",
    )


class NetworkCapture:
    """A live network stream, one picture at a time.

    Attributes:
        fps: Frames a second, None if the stream does not say.
    """

    def __init__(self, address: str) -> None:
        """Open the stream.

        Raises:
            av.FFmpegError: It cannot be opened.
            UnreadableVideoError: It holds no video.
        """
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
                return frame_picture(self._frames.popleft()).rgb()
            except (*READ_ERRORS, ValueError):
                continue
        return None

    def release(self) -> None:
        """Close the stream."""
        self._container.close()

    def _demuxed_packets(self) -> Iterator[av.Packet]:
        """Yield packets until the server ends the stream, falls silent, or sends rubbish only."""
        bad_reads = 0
        while bad_reads < MOST_BAD_READS:
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:  # an empty one would drain the decoder
                        bad_reads = 0
                        yield packet
                return
            except av.InvalidDataError:
                bad_reads += 1
            except READ_ERRORS:
                return
