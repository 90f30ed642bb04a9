"""Opens a video file, whatever its name, or says truly why it is none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeseg.imaging.decoding.pixel_limits import MAX_PIXELS
from edgeseg.imaging.video.pyav import av
from edgeseg.imaging.video.salvaged_file import SalvagedFile
from edgeseg.imaging.video.timed_frame import CURE, UnreadableVideoError
from edgeseg.imaging.video.video_reader import READ_ERRORS, VideoReader

# A file brings all its bytes itself: one that names others, as playlists do, opens none of them.
FILE_OPTIONS = {"protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}
BOX_HEADER = 8  # bytes of length and kind before each part of an MP4 or MOV file
MP4_STARTS = (b"ftyp", b"mdat", b"free", b"skip", b"wide", b"pnot")
HEAD_BYTES = 4096
# Names of codecs in Matroska, in the sample table of MP4 and MOV, and in the headers of AVI.
CODEC_MARKS = (rb"\x86.{1,2}V_([A-Z0-9/_]{3,24})", rb"stsd.{12}(\w{4})", rb"vids(\w{4})")
MARK_BYTES = 1 << 20  # of the beginning and of the end, in which such a name is looked for


@contextmanager
def open_recorded_video(path: Path, *, threads: int = 0) -> Iterator[VideoReader]:
    """Open the video at `path`; it is closed at the end.

    Args:
        path: Any name that the file system has.
        threads: Number of threads that decode, 0 for as many as there are cores.

    Raises:
        UnreadableVideoError: It is empty or no video, or there is no decoder for it. The reader
            itself raises it as well, once it has found no frame.
    """
    try:
        size = path.stat().st_size
        file = SalvagedFile(path)
    except OSError as error:
        raise UnreadableVideoError(f"cannot be read ({error.strerror})") from None
    try:
        if not size:
            raise UnreadableVideoError("is empty")
        try:
            container = av.open(file, options=FILE_OPTIONS, metadata_errors="replace")
        except READ_ERRORS as error:
            raise UnreadableVideoError(_why_not(path, file, error)) from None
        try:
            yield _reader(container, path, threads)
        finally:
            container.close()
    finally:
        file.close()


def _reader(container: Any, path: Path, threads: int) -> VideoReader:  # Any: as av.open returns it
    try:
        return VideoReader(container, threads=threads)
    except UnreadableVideoError as error:
        if "no decoder" in str(error) and (mark := codec_mark(path)):
            raise UnreadableVideoError(
                f"holds {mark} video, for which there is no decoder here; {CURE}"
            ) from None
        raise


def _why_not(path: Path, file: SalvagedFile, error: Exception) -> str:
    """Return why FFmpeg could not open a file, by a look at its bytes."""
    if isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
        return f"cannot be read ({error.strerror})"
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if head.startswith(b"#EXTM3U"):
        return "is a playlist, not a video; name the videos that it lists"
    if not head.strip(b"\0"):
        return "holds zeros where a video would begin; copy it again from where it was recorded"
    if _is_text(head):
        return "holds text, no video"
    if head[4:8] in MP4_STARTS and b"moov" not in _boxes(path):
        return (
            "was not finished when it was recorded: its index (moov), without which no frame can "
            "be found, is missing; record it again, or mend it with a tool such as untrunc"
        )
    return "is no video that FFmpeg knows, or is damaged at its beginning"


def _is_text(head: bytes) -> bool:
    """Return whether the beginning of a file is text, in UTF-8 or an encoding of one byte."""
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    return not controls


def _boxes(path: Path) -> list[bytes]:
    """Return the kinds of the outermost parts of an MP4 or MOV file.

    Each begins with its length, 4 bytes, and its kind. Length 1 means that 8 more bytes hold it,
    length 0 that the part goes on to the end of the file.
    """
    kinds: list[bytes] = []
    with open(path, "rb") as file:
        while len(header := file.read(BOX_HEADER)) == BOX_HEADER and len(kinds) < 1000:
            kinds.append(header[4:])
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(file.read(8), "big") - 8
            if length < BOX_HEADER:
                break
            file.seek(length - BOX_HEADER, os.SEEK_CUR)
    return kinds


def codec_mark(path: Path) -> str:
    """Return what the container calls its first video codec, "" if that is not found."""
    with open(path, "rb") as file:
        data = file.read(MARK_BYTES)
        file.seek(max(0, path.stat().st_size - MARK_BYTES))
        data += file.read(MARK_BYTES)
    for pattern in CODEC_MARKS:
        if match := re.search(pattern, data, re.DOTALL):
            return match[1].decode("ascii", "replace").strip("\0 ")
    return ""
