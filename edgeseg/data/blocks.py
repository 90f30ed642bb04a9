"""Blocks: stretches of footage whose frames look alike and therefore stay in one split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgeseg.imaging.file_names import is_image
from edgeseg.metrics import block_length
from edgeseg.site import Frame

MIN_DRAWN = 5  # blocks, of which a bootstrap can draw sets that differ
Block = tuple[str, str, int]  # camera, source, number of the stretch of time


def block_of(frame: Frame, seconds: float) -> Block:
    """Return the block of a frame: `seconds` of one source of one camera.

    An image folder counts as one source. With blocks of 60 s, the frame at 125.0 s of
    `footage/a.mp4` is in the block ("cam", "footage/a.mp4", 2), which lasts from 120 to 180 s; the
    image `footage/day/7.jpg` with time 6.0 is in ("cam", "footage/day", 0).
    """
    return *recording_of(frame), int(frame.time // seconds)


def recording_of(frame: Frame) -> tuple[str, str]:
    """Return the camera of a frame, and the video or the image folder that it came from."""
    path = Path(frame.source)
    source = path.parent if is_image(path) else path
    return frame.camera, str(source)


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


def drawing_blocks(frames: Sequence[Frame], seconds: float) -> list[int]:
    """Return the number of each frame's block, for intervals over frames that are alike.

    The frames of a block (`block_of`) are drawn together. Where they make fewer than five, which
    say nothing of the spread, neighbors in time are drawn together instead, as many as leave five:
    20 frames of one minute are the blocks 0 0 0 0 1 1 1 1 2 ... 4.
    """
    blocks = [block_of(frame, seconds) for frame in frames]
    if len(set(blocks)) >= MIN_DRAWN:
        numbers = {block: number for number, block in enumerate(dict.fromkeys(blocks))}
        return [numbers[block] for block in blocks]
    length = block_length(len(frames))
    order = sorted(range(len(frames)), key=lambda index: (blocks[index], frames[index].time, index))
    numbered = [0] * len(frames)
    for place, index in enumerate(order):
        numbered[index] = place // length
    return numbered
