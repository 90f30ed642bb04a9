"""The automatic split of labelled frames into labelled, val and gate.

Frames of one block (see `edgeseg.data.blocks`) stay together. A block that several splits share,
for it is a short clip or the splits were set by hand, is parted in time: each frame belongs to the
nearest one with a mask.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.config import DataConfig
from edgeseg.data.blocks import Block, block_of, group_by_block, nearest_in_time, recording_of
from edgeseg.site import HELD_OUT, Frame, Split

MIN_FRAMES_FOR_GATE = 4  # labelled frames from which gate gets one; val gets one from 2
MIN_VAL_FRAMES = 3  # that an export asks for; val gets as many from 12 labelled frames on
MIN_BLOCKS_FOR_ALL = 3  # blocks with a class from which labelled, val and gate should each show it


@dataclass(frozen=True)
class SplitAssignment:
    """The decisions of `assign_splits`.

    Attributes:
        splits: Split by frame id.
        parted: Number of blocks too large for one split that were cut, so that neighbors met at
            the cuts.
    """

    splits: dict[str, Split]
    parted: int


def assign_splits(
    new: Sequence[Frame],
    settled: Sequence[Frame],
    pixels: Mapping[str, Sequence[int]],
    config: DataConfig,
    *,
    few_blocks: bool = False,
) -> SplitAssignment:
    """Part newly labelled frames into labelled, val and gate; the same input gives the same splits.

    Frames of a block that has a split already follow it. Other blocks, cut where one alone is
    larger than the smallest split should be, go to val and gate until those have their shares:
    first those with classes that the split lacks and the others can spare, a class being worth the
    more the rarer it is. Training is never left empty, and keeps a class that occurs in one block
    only.

    Args:
        settled: Frames that have masks and splits.
        pixels: (C,) pixel counts of each class by frame id, for new and settled frames.
        few_blocks: The site has no more blocks than there are shares, as one short clip: frames
            that are labelled one by one would all follow the first. A block of a recording that
            trains and has its fill of labels is cut instead; one that was held back stays whole.
    """
    total = len(new) + len(settled)
    settled_blocks = group_by_block(settled, config.block_seconds)
    largest_group = max(1, round(total * min(config.val_share, config.gate_share)))
    following: dict[str, Split] = {}
    groups: list[list[Frame]] = []
    parted = 0
    trained = {recording_of(frame) for frame in settled if frame.split == "labelled"}
    open_blocks: list[tuple[Block, list[Frame]]] = []
    for block, members in sorted(group_by_block(new, config.block_seconds).items()):
        is_full = len(settled_blocks.get(block, ())) >= largest_group
        if few_blocks and is_full and block[:2] in trained:
            groups.extend([frame] for frame in members)
            open_blocks.append((block, members))
            continue
        if block in settled_blocks:
            for frame in members:
                following[frame.id] = nearest_in_time(frame, settled_blocks[block]).split
            continue
        pieces = _cut(members, largest_group)
        parted += len(pieces) > 1
        groups.extend(pieces)

    wanted: dict[Split, int] = {
        "val": _wanted_val(total, config.val_share) if total > 1 else 0,
        "gate": max(1, round(config.gate_share * total)) if total >= MIN_FRAMES_FOR_GATE else 0,
    }
    allocator = _SplitAllocator(groups, pixels, wanted, config.seed)
    for frame in settled:
        allocator.count(frame.split, 1, allocator.classes_of([frame]))
    for frame in new:
        if frame.id in following:
            allocator.count(following[frame.id], 1, allocator.classes_of([frame]))
    for split in HELD_OUT:
        allocator.fill(split)
    for split in HELD_OUT:
        allocator.cover_classes(split)
    splits = {**following, **allocator.splits()}
    for block, members in open_blocks:
        nearest = {frame.id: nearest_in_time(frame, settled_blocks[block]) for frame in members}
        parted += any(splits[frame.id] != nearest[frame.id].split for frame in members)
    return SplitAssignment(splits, parted)


def has_few_blocks(frames: Iterable[Frame], config: DataConfig) -> bool:
    """Whether a site's frames make fewer blocks than it takes for each split to have its share."""
    blocks = {block_of(frame, config.block_seconds) for frame in frames}
    return len(blocks) * min(config.val_share, config.gate_share) < 1


def _wanted_val(total: int, share: float) -> int:
    """Return how many of `total` labelled frames should be val's; 3 of 12 even at a fifth."""
    return max(1, round(share * total), min(MIN_VAL_FRAMES, total // 4))


def _cut(frames: list[Frame], largest: int) -> list[list[Frame]]:
    """Cut a list into the fewest pieces of nearly one length and at most `largest` frames.

    7 frames with at most 3 in a piece make ceil(7 / 3) = 3 pieces, of 3, 2 and 2 frames.
    """
    pieces = np.array_split(np.arange(len(frames)), -(-len(frames) // largest))
    return [[frames[index] for index in piece] for piece in pieces]


@dataclass(frozen=True, eq=False)
class _FrameGroup:
    """Neighboring frames that stay together, and the classes in them."""

    frames: list[Frame]
    classes: set[int]


class _SplitAllocator:
    """Groups of frames that stay in training unless val or gate take them.

    An example: six groups of 2 frames each show the classes

        A {0}   B {0, 1}   C {0}   D {0, 1}   E {0, 1}   F {0, 2}

    so class 0 is in 6 groups, class 1 in 3 and class 2 in one. Val and gate want 2 frames each.
    Class 2 is in fewer than 3 groups, so only training should show it.

    `fill("val")` looks at every group for what taking it would do:

    * harm: the number of its classes that the other splits could then no longer all get. F does
      harm 1, since class 2 is in 1 group and 1 other split, training, still needs it. B does none:
      class 1 is in 3 groups, and only 2 other splits, training and gate, need it.
    * excess: frames beyond those that val lacks; here 0 for every group.
    * gain: the sum of 1 / (number of groups) over the classes that val lacks. A gains 1/6, B gains
      1/6 + 1/3 = 1/2.

    The least harm counts first, then the least excess, then the greatest gain, then the order drawn
    from the seed: val takes B, D or E. `fill("gate")` takes another of these, for class 1 is left
    in 2 groups and 1 other split, training, needs it. Training keeps the third, with A, C and F.
    """

    def __init__(
        self,
        groups: list[list[Frame]],
        pixels: Mapping[str, Sequence[int]],
        wanted: Mapping[Split, int],
        seed: int,
    ) -> None:
        """Leave all groups in training.

        Args:
            pixels: (C,) pixel counts of each class by frame id.
            wanted: Frames that val and gate should have.
        """
        self._pixels = pixels
        self._wanted = wanted
        order = np.random.default_rng(seed).permutation(len(groups))
        self._in_training = [
            _FrameGroup(groups[index], self.classes_of(groups[index])) for index in order
        ]
        self._taken: list[tuple[Split, _FrameGroup]] = []
        self._frame_count: Counter[Split] = Counter()
        self._covered: dict[Split, set[int]] = defaultdict(set)  # classes that a split has
        # By class: groups that show it, in training as it stands, and at all.
        self._groups_left = Counter(
            class_id for group in self._in_training for class_id in group.classes
        )
        self._groups_total = Counter(self._groups_left)

    def classes_of(self, frames: Iterable[Frame]) -> set[int]:
        """Return the classes that the masks of some frames hold."""
        return {
            int(class_id) for frame in frames for class_id in np.flatnonzero(self._pixels[frame.id])
        }

    def count(self, split: Split, frames: int, classes: set[int]) -> None:
        """Count frames, and the classes in them, to a split."""
        self._frame_count[split] += frames
        self._covered[split] |= classes

    def fill(self, split: Split) -> None:
        """Give a split groups until it has about as many frames as it should."""
        while (lacking := self._wanted[split] - self._frame_count[split]) > 0 and self._can_spare():
            smallest = min(len(group.frames) for group in self._in_training)
            if self._frame_count[split] and smallest > 2 * lacking:
                return  # with one more it would be further off than without

            def rank(group: _FrameGroup, lacking: int = lacking) -> tuple[int, int, float]:
                gain = sum(
                    1 / self._groups_total[class_id]
                    for class_id in group.classes
                    if split in self._splits_lacking(class_id)
                )
                excess = max(0, len(group.frames) - lacking)
                return -self._harm(split, group), -excess, gain

            self._take(split, max(self._in_training, key=rank))

    def cover_classes(self, split: Split) -> None:
        """Bring classes that a split still lacks, where the others can spare them.

        The split grows to 1.5 times what it should have, and one frame, at most.
        """
        most_frames = 1 + 1.5 * self._wanted[split]
        lacking = [
            class_id for class_id in self._groups_total if split in self._splits_lacking(class_id)
        ]
        for class_id in sorted(lacking):
            fitting = [
                group
                for group in self._in_training
                if class_id in group.classes
                and self._frame_count[split] + len(group.frames) <= most_frames
                and not self._harm(split, group)
            ]
            still_lacking = split in self._splits_lacking(
                class_id
            )  # a group brings several classes
            if fitting and self._can_spare() and still_lacking:
                self._take(split, min(fitting, key=lambda group: len(group.frames)))

    def splits(self) -> dict[str, Split]:
        """Return the split of every frame of the groups."""
        rest: list[tuple[Split, _FrameGroup]] = [("labelled", group) for group in self._in_training]
        return {frame.id: split for split, group in self._taken + rest for frame in group.frames}

    def _splits_lacking(self, class_id: int) -> list[Split]:
        """Return the splits that should have a class and lack it."""
        should_have: list[Split] = ["labelled"]
        if self._groups_total[class_id] >= MIN_BLOCKS_FOR_ALL:
            should_have += [split for split in HELD_OUT if self._wanted[split]]
        return [split for split in should_have if class_id not in self._covered[split]]

    def _harm(self, split: Split, group: _FrameGroup) -> int:
        """Count the classes that the other splits could no longer all get if `split` took it."""
        return sum(
            self._groups_left[class_id] <= len(set(self._splits_lacking(class_id)) - {split})
            for class_id in group.classes
        )

    def _can_spare(self) -> bool:
        """Return whether training has frames left after giving away a group."""
        return len(self._in_training) > (0 if self._frame_count["labelled"] else 1)

    def _take(self, split: Split, group: _FrameGroup) -> None:
        self._in_training.remove(group)
        self._groups_left.subtract(group.classes)
        self._taken.append((split, group))
        self.count(split, len(group.frames), group.classes)


def known_places_note(frames: Iterable[Frame]) -> str:
    """Return a sentence where val shows what training has seen as well; empty where it does not.

    The automatic split parts a recording by stretches of time, so what a camera passes in one
    stretch it may have passed in the other: val then tells nothing of places unseen.
    """
    recordings: dict[Split, list[tuple[str, str]]] = defaultdict(list)
    for frame in frames:
        recordings[frame.split].append(recording_of(frame))
    known = set(recordings["labelled"])
    shared = sum(recording in known for recording in recordings["val"])
    if not shared:
        return ""
    return (
        f"{shared} of {len(recordings['val'])} val frames are of recordings that labelled frames "
        "are of as well, so figures on val are for places that training knows; for a figure on "
        "places unseen, hold a whole section or camera back with `edgeseg add labels --split val`"
    )
