"""Blocks: stretches of footage whose frames look alike and therefore stay in one split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgeseg.imaging.file_names import is_image
from edgeseg.site import Frame

Block = tuple[str, str, int]  # camera, source, number of the stretch of time


def block_of(frame: Frame, seconds: float) -> Block:
    """Return the block of a frame: `seconds` of one source of one camera.

    An image folder counts as one source. With blocks of 60 s, the frame at 125.0 s of
    `footage/a.mp4` is in the block ("cam", "footage/a.mp4", 2), which lasts from 120 to 180 s; the
    image `footage/day/7.jpg` with time 6.0 is in ("cam", "footage/day", 0).
    """
    path = Path(frame.source)
    source = path.parent if is_image(path) else path
    return frame.camera, str(source), int(frame.time // seconds)


def group_by_block(frames: Iterable[Frame], seconds: float) -> dict[Block, list[Frame]]:
    """Return the frames of each block, in time order."""
    blocks: dict[Block, list[Frame]] = defaultdict(list)
    for frame in sorted(frames, key=lambda frame: (frame.time, frame.id)):
        blocks[block_of(frame, seconds)].append(frame)
    return dict(blocks)


def nearest_in_time(frame: Frame, candidates: Sequence[Frame]) -> Frame:
    """Return the candidate nearest in time to a frame; of two equally near ones the earlier."""
    return min(
        candidates,
        key=lambda candidate: (abs(candidate.time - frame.time), candidate.time, candidate.id),
    )
