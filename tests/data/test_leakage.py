"""Leakage: unlabelled frames too close to val or gate are withheld, and come back."""

from __future__ import annotations

from edgeseg.config import DataConfig
from edgeseg.data.leakage import leaking_frames, mark_withheld
from tests.helpers.sites import index_frame

CONFIG = DataConfig()
FAR = 0xAAAA_AAAA_AAAA_0000


def test_leaks_are_neighbors_and_look_alikes_of_val_and_gate_only() -> None:
    masked = [
        index_frame(10, split="val", bits=0),
        index_frame(30, split="labelled", bits=2**64 - 1),
        index_frame(50, split="gate", bits=0xFFFF),
    ]
    free = {
        "in the block of val": index_frame(0, bits=FAR),
        "in that of labelled": index_frame(31, bits=FAR),
        "in that of gate": index_frame(59, bits=FAR),
        "in none": index_frame(70, bits=FAR),
        "like val": index_frame(500, bits=0b1111),
        "not quite": index_frame(501, bits=0b11111),
        "like gate": index_frame(3, camera="other", bits=0xFFFE),
        "like labelled": index_frame(502, bits=2**64 - 2),
        "same time of another source": index_frame(10, source="b.mp4", bits=FAR),
    }
    found = leaking_frames([*masked, *free.values()], near_duplicate=4, block_seconds=20)
    leaking = {name for name, item in free.items() if item.id in found}
    assert leaking == {"in the block of val", "in that of gate", "like val", "like gate"}


def test_within_a_mixed_block_the_nearest_mask_decides() -> None:
    masked = [
        index_frame(2, split="labelled", bits=0),
        index_frame(12, split="val", bits=2**64 - 1),
    ]
    free = [index_frame(second, bits=FAR) for second in (0, 5, 9, 19)]
    assert leaking_frames([*masked, *free], 4, 20) == {free[2].id, free[3].id}


def test_withheld_frames_come_back() -> None:
    judge, free = index_frame(0, split="val", bits=0), index_frame(5, bits=2**64 - 1)
    withheld = mark_withheld([judge, free], CONFIG)
    assert [item.withheld for item in withheld] == [False, True]
    assert mark_withheld([withheld[1]], CONFIG) == [free]
