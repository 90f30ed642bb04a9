"""Pictures made of decoded frames: RGB by FFmpeg, turned as the display matrix says.

Pixels are as FFmpeg gives them: the matrix (BT.601, BT.709, BT.2020) and the range that the frame
names, BT.601 and the limited range where it names none. Interlaced frames stay woven, transparency
is dropped, and pixels that are not square (a sample aspect ratio) are given as they are stored, so
that masks fit them one to one.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np

from edgeseg.imaging.array_types import Image
from edgeseg.imaging.decoding.depth_range import DeepPixels, DepthRange
from edgeseg.imaging.decoding.picture import Picture
from edgeseg.imaging.video.pyav import av

DEEP_GRAY = re.compile(r"gray(9|10|12|14|16)(le|be)")
UNTURNED = (1, 0, 0, 1)  # how columns and rows of the stored picture run in the shown one
DEGREES_OFF = 1.0  # from a right angle, which is as good as one


class FrameConverter:
    """Makes pictures of the frames of one video.

    FFmpeg's filters do it, as they do for `ffmpeg -i`: they alone know where the colors of a frame
    lie between its pixels. They are set up anew when frames change their size or kind.
    """

    def __init__(self) -> None:
        self._kind: tuple[object, ...] = ()
        self._graph: Any = None  # Any: av.filter.Graph

    def picture(self, frame: av.VideoFrame) -> Picture:
        """Convert a frame, upright: gray of more than 8 bits as it is, all else to RGB.

        Raises:
            av.FFmpegError: FFmpeg cannot convert this pixel format.
        """
        values, container = _deep_gray(frame)
        if container is None:
            values = self._rgb(frame)
        return Picture(
            values=turned(values, orientation(frame)),
            container=container,
            orientation=1,
            plain=False,
            more=False,
        )

    def _rgb(self, frame: av.VideoFrame) -> Image:
        kind = frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range
        if kind != self._kind:
            self._graph = _rgb_graph(frame)
            self._kind = kind
        self._graph.vpush(frame)
        return np.asarray(self._graph.vpull().to_ndarray(), np.uint8)


def _rgb_graph(frame: av.VideoFrame) -> Any:  # Any: av.filter.Graph
    """Return FFmpeg filters that turn frames of this size and kind into RGB."""
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
    )
    rgb, sink = graph.add("format", "rgb24"), graph.add("buffersink")
    source.link_to(rgb)
    rgb.link_to(sink)
    graph.configure()
    return graph


def _deep_gray(frame: av.VideoFrame) -> tuple[DeepPixels, DepthRange | None]:
    """Return the values of a gray frame of more than 8 bits, (H, W) uint16, and their full range.

    Of other frames the range is None.
    """
    match = DEEP_GRAY.fullmatch(frame.format.name)
    if match is None:
        return np.zeros(0, np.uint16), None
    plane = frame.planes[0]
    order = "<u2" if match[2] == "le" else ">u2"
    rows = np.frombuffer(memoryview(plane), order).reshape(-1, abs(plane.line_size) // 2)
    if plane.line_size < 0:  # from the lowest row to the highest
        rows = rows[::-1]
    values = rows[: frame.height, : frame.width].astype(np.uint16)
    return values, DepthRange.full(int(match[1]))


def orientation(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return how the frame is to be shown: a, b, c, d of its display matrix as -1, 0 and 1.

    A stored pixel in column x and row y is shown in column a x + c y and row b x + d y, counted
    from the edge at which the numbers begin. A quarter turn to the right is (0, 1, -1, 0): the
    stored columns become rows, the stored rows columns from right to left. Other angles than right
    ones are no orientation; such a frame is shown as it is stored, as most players do.
    """
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")  # Any: a buffer, or None
    except ValueError:  # side data of a kind that this PyAV has no name for
        turn = math.radians(-frame.rotation)
        a, b = math.cos(turn), math.sin(turn)
        c, d = -b, a
    else:
        if matrix is None:
            return UNTURNED
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].astype(float)
    slack = math.tan(math.radians(DEGREES_OFF))
    if abs(b) <= slack * abs(a) and abs(c) <= slack * abs(d) and a and d:
        return int(math.copysign(1, a)), 0, 0, int(math.copysign(1, d))
    if abs(a) <= slack * abs(b) and abs(d) <= slack * abs(c) and b and c:
        return 0, int(math.copysign(1, b)), int(math.copysign(1, c)), 0
    return UNTURNED


def turned(pixels: Any, how: tuple[int, int, int, int]) -> Any:  # Any: an array of any type
    """Turn and mirror pixels, (H, W) or (H, W, 3), as `orientation` says; the result is compact."""
    a, b, c, d = how
    if not a:  # columns become rows
        pixels = pixels.swapaxes(0, 1)
    if a < 0 or c < 0:
        pixels = pixels[:, ::-1]
    if d < 0 or b < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
