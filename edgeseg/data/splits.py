"""Which frames train, tune and judge: neighbors stay together, and footage too close to val or
gate is kept out.

A block is `block_seconds` of one source of one camera; an image folder counts as one source. A
block that several splits share (a short clip, or splits set by hand) is parted in time: each frame
belongs to the nearest one with a mask.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.config import DataConfig
from edgeseg.data.ingest.image_files import is_image
from edgeseg.imaging.perceptual_hash import hamming_distances
from edgeseg.site import Frame, Split

Block = tuple[str, str, int]
JUDGES: tuple[Split, ...] = ("val", "gate")
FEW = 4  # frames from which gate gets one; val gets one from 2


def block_of(frame: Frame, seconds: float) -> Block:
    """The camera, source and stretch of time that a frame belongs to."""
    path = Path(frame.source)
    return frame.camera, str(path.parent if is_image(path) else path), int(frame.time // seconds)


def leaking_frames(frames: Iterable[Frame], near_duplicate: int, block_seconds: float) -> set[str]:
    """Ids of unlabelled frames that would let training see val or gate.

    Those are the frames of a block whose nearest frame with a mask is in val or gate, and the
    near-duplicates of any val or gate frame, whatever their camera.

    Args:
        near_duplicate: dHash bits up to which two frames count as the same.
        block_seconds: length of a block.
    """
    everything = list(frames)
    free = [frame for frame in everything if frame.split == "unlabelled"]
    masked = group_by_block(
        [frame for frame in everything if frame.split != "unlabelled"], block_seconds
    )
    found = set()
    for frame in free:
        owners = masked.get(block_of(frame, block_seconds))
        if owners and _nearest(frame, owners).split in JUDGES:
            found.add(frame.id)
    hashes = np.array([int(frame.hash, 16) for frame in free], np.uint64)
    close = np.zeros(len(free), bool)
    for judge in everything:
        if judge.split in JUDGES:
            close |= hamming_distances(int(judge.hash, 16), hashes) <= near_duplicate
    return found | {free[index].id for index in np.flatnonzero(close)}


def mark_withheld(frames: Iterable[Frame], config: DataConfig) -> list[Frame]:
    """The frames with `withheld` set on exactly those that `leaking_frames` finds.

    They keep their place in the index, so that they can still be labelled, and come back when val
    and gate change; but `Site.frames("unlabelled")` leaves them out. To be called before every
    `Site.save_frames`.
    """
    everything = list(frames)
    out = leaking_frames(everything, config.near_duplicate, config.block_seconds)
    return [
        frame
        if frame.withheld == (frame.id in out)
        else dataclasses.replace(frame, withheld=frame.id in out)
        for frame in everything
    ]


def group_by_block(frames: Iterable[Frame], seconds: float) -> dict[Block, list[Frame]]:
    """Frames by block, in time order within each."""
    blocks: dict[Block, list[Frame]] = defaultdict(list)
    for frame in sorted(frames, key=lambda frame: (frame.time, frame.id)):
        blocks[block_of(frame, seconds)].append(frame)
    return dict(blocks)


def _nearest(frame: Frame, others: Sequence[Frame]) -> Frame:
    return min(others, key=lambda other: (abs(other.time - frame.time), other.time, other.id))


@dataclass(frozen=True)
class SplitAssignment:
    """What `assign_splits` decided.

    Attributes:
        splits: by frame id.
        parted: blocks too large for one split that were cut, so that neighbors met at the cuts.
    """

    splits: dict[str, Split]
    parted: int


def assign_splits(
    new: Sequence[Frame],
    settled: Sequence[Frame],
    pixels: Mapping[str, Sequence[int]],
    config: DataConfig,
) -> SplitAssignment:
    """Part newly labelled frames into labelled, val and gate; the same input gives the same splits.

    Frames of a block that has a split already follow it. Other blocks, cut where one alone is
    larger than the smallest split should be, go to val and gate until those have their shares:
    first those with classes that the split lacks and the others can spare, a class being worth the
    more the rarer it is. Training is never left empty, and keeps a class that occurs in one block
    only.

    Args:
        settled: frames that have masks and splits.
        pixels: (C,) pixel counts of each class by frame id, for new and settled frames.
    """
    decided: dict[str, Split] = {}
    owners = group_by_block(settled, config.block_seconds)
    total = len(new) + len(settled)
    limit = max(1, round(total * min(config.val_share, config.gate_share)))
    runs: list[list[Frame]] = []
    parted = 0
    for block, members in sorted(group_by_block(new, config.block_seconds).items()):
        if block in owners:
            decided.update((frame.id, _nearest(frame, owners[block]).split) for frame in members)
            continue
        pieces = np.array_split(np.arange(len(members)), -(-len(members) // limit))
        parted += len(pieces) > 1
        runs.extend([members[index] for index in piece] for piece in pieces)

    wanted: dict[Split, int] = {
        "val": max(1, round(config.val_share * total)) if total > 1 else 0,
        "gate": max(1, round(config.gate_share * total)) if total >= FEW else 0,
    }
    pool = _Pool(runs, pixels, wanted, config.seed)
    for frame in (*settled, *(frame for frame in new if frame.id in decided)):
        pool.grant(decided.get(frame.id, frame.split), 1, pool.classes([frame]))
    for split in JUDGES:
        pool.fill(split)
    for split in JUDGES:
        pool.cover(split)
    return SplitAssignment({**decided, **pool.splits()}, parted)


@dataclass(frozen=True, eq=False)
class _Run:
    """Neighboring frames that stay together, and the classes in them."""

    frames: list[Frame]
    classes: set[int]


class _Pool:
    """Runs that stay in training unless val or gate take them."""

    def __init__(
        self,
        runs: list[list[Frame]],
        pixels: Mapping[str, Sequence[int]],
        wanted: Mapping[Split, int],
        seed: int,
    ) -> None:
        self._pixels = pixels
        self._wanted = wanted
        order = np.random.default_rng(seed).permutation(len(runs))
        self._runs = [_Run(runs[index], self.classes(runs[index])) for index in order]
        self._taken: list[tuple[Split, _Run]] = []
        self._held: Counter[Split] = Counter()
        self._covered: dict[Split, set[int]] = defaultdict(set)
        self._left = Counter(
            name for run in self._runs for name in run.classes
        )  # runs in training with this class
        self._spread = Counter(self._left)

    def classes(self, frames: Iterable[Frame]) -> set[int]:
        return {int(index) for frame in frames for index in np.flatnonzero(self._pixels[frame.id])}

    def grant(self, split: Split, frames: int, classes: set[int]) -> None:
        """Count frames, and the classes in them, to `split`."""
        self._held[split] += frames
        self._covered[split] |= classes

    def _due(self, name: int) -> list[Split]:
        """The splits that lack a class and should have it: training always, the others if it is in
        3 blocks or more.
        """
        judges = [split for split in JUDGES if self._wanted[split] and self._spread[name] >= 3]
        return [split for split in ("labelled", *judges) if name not in self._covered[split]]

    def _harm(self, split: Split, run: _Run) -> int:
        """How many classes would not go round the other splits if `split` took this run."""
        return sum(self._left[name] <= len(set(self._due(name)) - {split}) for name in run.classes)

    def _spare(self) -> bool:
        return len(self._runs) > (0 if self._held["labelled"] else 1)

    def _take(self, split: Split, run: _Run) -> None:
        self._runs.remove(run)
        self._left.subtract(run.classes)
        self._taken.append((split, run))
        self.grant(split, len(run.frames), run.classes)

    def fill(self, split: Split) -> None:
        """Give `split` runs until it holds about what it should."""
        while (room := self._wanted[split] - self._held[split]) > 0 and self._spare():
            if self._held[split] and min(len(run.frames) for run in self._runs) > 2 * room:
                return  # one more would be further off than none

            def worth(run: _Run, room: int = room) -> tuple[int, int, float]:
                gained = sum(
                    1 / self._spread[name] for name in run.classes if split in self._due(name)
                )
                return -self._harm(split, run), -max(0, len(run.frames) - room), gained

            self._take(split, max(self._runs, key=worth))

    def cover(self, split: Split) -> None:
        """Bring classes that `split` still lacks, where others can spare them and it grows by half
        at most.
        """
        most = 1 + 1.5 * self._wanted[split]
        for name in sorted(name for name in self._spread if split in self._due(name)):
            fitting = [
                run
                for run in self._runs
                if name in run.classes
                and self._held[split] + len(run.frames) <= most
                and not self._harm(split, run)
            ]
            if fitting and self._spare() and split in self._due(name):
                self._take(split, min(fitting, key=lambda run: len(run.frames)))

    def splits(self) -> dict[str, Split]:
        """Where every frame of the runs went."""
        rest: list[tuple[Split, _Run]] = [("labelled", run) for run in self._runs]
        return {frame.id: split for split, run in self._taken + rest for frame in run.frames}
