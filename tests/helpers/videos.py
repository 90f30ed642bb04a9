"""Small videos made by PyAV, of any codec, container, clock and display matrix; and damage."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from edgeseg.imaging.array_types import Image

WIDTH, HEIGHT = 64, 48


def plain_picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """A picture of four flat quarters whose colors tell the number; no two of 64 are alike."""
    levels = [64 * (number // 4**place % 4) + 32 for place in range(3)]
    picture = np.full((height, width, 3), levels, np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)  # the upper left is always red
    return picture


def number_of(picture: Image) -> int:
    """The number that `plain_picture` was given, read from the lower right."""
    height, width = picture.shape[:2]
    levels = picture[height * 3 // 4, width * 3 // 4].astype(int) // 64
    return int(levels[0] + 4 * levels[1] + 16 * levels[2])


def encode_video(
    pictures: Sequence[Image],
    container: str = "mp4",
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    fps: float = 10.0,
    times: Sequence[float] | None = None,
    matrix: Sequence[int] | None = None,
    movflags: str = "",
) -> bytes:
    """Encode pictures to the bytes of a file.

    Args:
        pictures: (H, W, 3) RGB, of one size.
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the encoder.
        pixels: The pixel format.
        fps: Frames a second where `times` are left out.
        times: Seconds of each frame, in thousandths.
        matrix: The display matrix.
        movflags: Of an MP4.
    """
    file = io.BytesIO()
    options = {"movflags": movflags} if movflags else {}
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(file, "w", format=container, container_options=options) as output:
        stream: Any = output.add_stream(codec, rate=rate, options=quiet(codec))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.gop_size = 12
        base = Fraction(1, 1000) if times else 1 / rate
        stream.codec_context.time_base = base
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = round(times[number] * 1000) if times else number
            frame.time_base = base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def quiet(codec: str) -> dict[str, str]:
    """Options that keep an encoder from printing, and make it quick."""
    return {
        "libx264": {"preset": "ultrafast", "crf": "12"},
        "libsvtav1": {"preset": "12", "crf": "5"},
    }.get(codec, {})


def numbered_video(path: Path, count: int = 12, container: str = "mp4", **options: Any) -> Path:
    """Write a video of `plain_picture`s; options as `encode_video` has them."""
    path.write_bytes(encode_video([plain_picture(i) for i in range(count)], container, **options))
    return path


def noisy_pictures(count: int, width: int = WIDTH, height: int = HEIGHT) -> list[Image]:
    """Pictures that do not compress well, so that damage hits few of them."""
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


def overwrite(data: bytes, where: float, length: int) -> bytes:
    """Return the bytes with `length` random ones at this share of them."""
    start = int(where * len(data))
    noise = np.random.default_rng(1).integers(0, 256, length, np.uint8).tobytes()
    return data[:start] + noise + data[start + length :]
