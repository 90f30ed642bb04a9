"""Encodes RGB pictures with times into a video file that players and browsers show."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.video.pyav import av

# By suffix what FFmpeg calls the format, and encoders in order of preference: the first one that
# this FFmpeg has is taken. H.264 in 4:2:0 is what every player and browser shows.
H264 = ("libx264", "libopenh264", "mpeg4")
FORMATS = {
    ".mp4": ("mp4", H264),
    ".m4v": ("mp4", H264),
    ".mov": ("mov", H264),
    ".mkv": ("matroska", H264),
    ".webm": ("webm", ("libvpx", "libvpx-vp9")),
    ".avi": ("avi", ("mjpeg",)),
}
# Ticks of the clock of a file: frames of 24, 25, 30, 50, 60, 29.97 and 66.667 a second, and
# whole milliseconds, all last a whole number of them; MPEG-4 allows no more than 65535.
TICKS_PER_SECOND = 60_000
LONGEST_STILL = 6 * 3600 * TICKS_PER_SECOND  # ticks for one frame; MP4 has 31 bits for them
MOST_RATE_PARTS = 65_535  # numerator and denominator of a rate
KEY_FRAME_EVERY = 25  # frames
OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "4M"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "35", "b": "0"},
    "mpeg4": {"qmin": "3", "qmax": "5"},
    "mjpeg": {"qmin": "3", "qmax": "4"},
    "libopenh264": {"b": "4M"},
}
# A file that is cut off can be played up to its last fragment; at the end it becomes a plain one.
CONTAINER_OPTIONS = {
    name: {"movflags": "+hybrid_fragmented+frag_keyframe"} for name in ("mp4", "mov")
}


class VideoWriter:
    """Writes one video into an open file."""

    def __init__(self, file: BinaryIO, suffix: str, *, width: int, height: int, fps: float) -> None:
        """Write the header.

        Args:
            file: Buffered, seekable, open for writing; it stays open.
            suffix: A key of `FORMATS`.
            width: Even.
            height: Even.
            fps: Frames a second, roughly: each frame brings its own time. AVI, which knows no
                times, is the exception.

        Raises:
            OSError: The file does not take it.
            av.FFmpegError: There is no encoder for it here.
        """
        format_name, encoders = FORMATS[suffix]
        encoder = next((name for name in encoders if name in av.codecs_available), encoders[-1])
        rate = Fraction(fps).limit_denominator(1001)
        rate = max(rate, Fraction(1, MOST_RATE_PARTS))
        self._file = file
        self._ticks = float(rate) if format_name == "avi" else float(TICKS_PER_SECOND)
        self._time_base = 1 / rate if format_name == "avi" else Fraction(1, TICKS_PER_SECOND)
        self._duration = max(1, round(self._ticks / fps))
        self._last, self._cut = -1, 0
        self._container = av.open(
            _Named(file),
            "w",
            format=format_name,
            container_options=CONTAINER_OPTIONS.get(format_name, {}),
        )
        stream: Any = self._container.add_stream(encoder, rate=rate, options=OPTIONS[encoder])
        stream.width, stream.height = width, height
        self._pixel_format = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        stream.pix_fmt = self._pixel_format
        stream.codec_context.time_base = self._time_base
        stream.codec_context.gop_size = KEY_FRAME_EVERY
        # BT.601, named, so that no player has to guess.
        for name in ("colorspace", "color_primaries", "color_trc"):
            setattr(stream.codec_context, name, 6)
        self._stream = stream

    def write(self, image: Image, time: float) -> None:
        """Encode one picture.

        Args:
            image: (height, width, 3) uint8 RGB.
            time: Seconds since the beginning, more than that of the picture before.

        Raises:
            OSError: The file does not take it.
        """
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(
            format=self._pixel_format, dst_colorspace="ITU601", interpolation="BICUBIC"
        )
        ticks = max(round(time * self._ticks) - self._cut, self._last + 1)
        if ticks - self._last > LONGEST_STILL:
            self._cut += ticks - self._last - LONGEST_STILL
            ticks = self._last + LONGEST_STILL
        self._last = ticks
        frame.pts, frame.time_base, frame.duration = ticks, self._time_base, self._duration
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds, and the end of the file.

        Raises:
            OSError: The file does not take it.
        """
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._file.flush()

    def abort(self) -> None:
        """Leave the file as far as it came, playable if the disk allows it."""
        with suppress(OSError, ValueError, av.FFmpegError):
            self.close()
        with suppress(OSError):
            self._file.close()
        # With its file closed, the container no longer tries to write an end.
        with suppress(OSError, ValueError, av.FFmpegError):
            self._container.close()


class _Named:
    """A file under a name that can be told to FFmpeg, which wants to know one."""

    name = "video"

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.seek, self.tell = file.write, file.seek, file.tell
        self._file = file

    @property
    def closed(self) -> bool:
        return self._file.closed
