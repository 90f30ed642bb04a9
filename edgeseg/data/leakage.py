"""Leakage: unlabelled footage too close to val or gate is withheld from training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from edgeseg.config import DataConfig
from edgeseg.data.blocks import block_of, group_by_block, nearest_in_time
from edgeseg.imaging.perceptual_hash import hamming_distances
from edgeseg.site import HELD_OUT, Frame


def leaking_frames(frames: Iterable[Frame], near_duplicate: int, block_seconds: float) -> set[str]:
    """Return the ids of unlabelled frames that would let training see val or gate.

    Those are the frames of a block whose nearest frame with a mask is in val or gate, and the
    near-duplicates of any val or gate frame, whatever their camera.

    Args:
        near_duplicate: dHash bits up to which two frames count as the same.
        block_seconds: Length of a block.
    """
    all_frames = list(frames)
    unlabelled = [frame for frame in all_frames if frame.split == "unlabelled"]
    with_mask = group_by_block(
        [frame for frame in all_frames if frame.split != "unlabelled"], block_seconds
    )
    leaking = set()
    for frame in unlabelled:
        neighbors = with_mask.get(block_of(frame, block_seconds))
        if neighbors and nearest_in_time(frame, neighbors).split in HELD_OUT:
            leaking.add(frame.id)
    hashes = np.array([int(frame.hash, 16) for frame in unlabelled], np.uint64)
    duplicate = np.zeros(len(unlabelled), bool)
    for frame in all_frames:
        if frame.split in HELD_OUT:
            duplicate |= hamming_distances(int(frame.hash, 16), hashes) <= near_duplicate
    return leaking | {unlabelled[index].id for index in np.flatnonzero(duplicate)}


def mark_withheld(frames: Iterable[Frame], config: DataConfig) -> list[Frame]:
    """Return the frames with `withheld` set on exactly those that `leaking_frames` finds.

    They keep their place in the index, so that they can still be labelled, and come back when val
    and gate change; but `Site.frames("unlabelled")` leaves them out. To be called before every
    `Site.save_frames`.
    """
    all_frames = list(frames)
    leaking = leaking_frames(all_frames, config.near_duplicate, config.block_seconds)
    return [
        frame
        if frame.withheld == (frame.id in leaking)
        else dataclasses.replace(frame, withheld=frame.id in leaking)
        for frame in all_frames
    ]
