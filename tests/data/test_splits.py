"""The automatic split: whole blocks, fair shares, classes everywhere, nothing moved, and no leaks
into training.
"""

from __future__ import annotations

import zlib
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.config import DataConfig
from edgeseg.data.splits import assign_splits, block_of, leaking_frames, mark_withheld
from edgeseg.site import Frame, Split

CONFIG = DataConfig()
FAR = 0xAAAA_AAAA_AAAA_0000


def frame(
    time: float,
    *,
    source: str = "a.mp4",
    camera: str = "cam",
    split: Split = "unlabelled",
    bits: int | None = None,
) -> Frame:
    identity = f"{camera}-{source}-{time}"
    value = zlib.crc32(identity.encode()) * 0x1_0000_0001 if bits is None else bits
    return Frame(
        id=identity,
        camera=camera,
        time=time,
        source=source,
        split=split,
        image="",
        mask=None,
        height=8,
        width=8,
        hash=f"{value:016x}",
        origin="footage",
    )


def same(frames: list[Frame], *classes: int) -> dict[str, list[int]]:
    return {item.id: [int(index in classes) for index in range(5)] for item in frames}


SITES = st.lists(
    st.tuples(
        st.sampled_from(["a.mp4", "b.mp4"]),
        st.integers(0, 400),
        st.sets(st.integers(0, 4), max_size=4),
    ),
    min_size=1,
    max_size=80,
    unique_by=lambda item: item[:2],
)


@settings(max_examples=60, deadline=None)
@given(SITES, st.integers(0, 3))
def test_always_complete_repeatable_and_never_without_training(
    drawn: list[tuple[str, int, set[int]]], seed: int
) -> None:
    config = DataConfig(seed=seed)
    frames = [frame(time, source=source) for source, time, _ in drawn]
    pixels = {
        item.id: [int(index in found) for index in range(5)]
        for item, (_, _, found) in zip(frames, drawn)
    }
    result = assign_splits(frames, [], pixels, config)
    assert set(result.splits) == {item.id for item in frames}
    counts = Counter(result.splits.values())
    assert counts["labelled"] >= 1 and counts["unlabelled"] == 0
    assert counts["val"] >= (len(frames) > 1)
    assert counts["gate"] >= (len(frames) >= 4)
    assert assign_splits(frames[::-1], [], pixels, config) == result
    if not result.parted:
        blocks: dict[object, set[str]] = {}
        for item in frames:
            blocks.setdefault(block_of(item, config.block_seconds), set()).add(
                result.splits[item.id]
            )
        assert all(len(splits) == 1 for splits in blocks.values())


def test_shares_are_met_and_blocks_stay_whole() -> None:
    frames = [frame(second) for second in range(1000)]
    result = assign_splits(frames, [], same(frames, 0), CONFIG)
    counts = Counter(result.splits.values())
    assert 190 <= counts["val"] <= 220 and 140 <= counts["gate"] <= 170 and not result.parted
    assert all(
        len({result.splits[item.id] for item in frames[start : start + 20]}) == 1
        for start in range(0, 1000, 20)
    )


def test_another_seed_is_another_split() -> None:
    frames = [frame(second) for second in range(1000)]
    assert assign_splits(frames, [], same(frames, 0), CONFIG) != assign_splits(
        frames, [], same(frames, 0), DataConfig(seed=1)
    )


def test_a_single_stretch_is_cut_into_neighboring_runs() -> None:
    frames = [frame(second) for second in range(20)]
    result = assign_splits(frames, [], same(frames, 0), CONFIG)
    counts = Counter(result.splits.values())
    assert (
        result.parted == 1
        and counts["labelled"] >= 12
        and counts["val"] >= 3
        and counts["gate"] >= 2
    )
    order = [result.splits[item.id] for item in frames]
    assert sum(one != other for one, other in pairwise(order)) <= 6


def test_a_class_in_three_blocks_is_in_every_split_and_a_lone_one_stays_in_training() -> None:
    frames = [frame(20 * number) for number in range(40)]
    for seed in range(8):
        pixels = same(frames, 0)
        for number in (3, 17, 31):
            pixels[frames[number].id][1] = 5
        pixels[frames[8].id][2] = 5
        result = assign_splits(frames, [], pixels, DataConfig(seed=seed))
        assert {result.splits[frames[number].id] for number in (3, 17, 31)} == {
            "labelled",
            "val",
            "gate",
        }
        assert result.splits[frames[8].id] == "labelled"


def test_settled_frames_count_and_their_blocks_pull() -> None:
    val = [frame(second, split="val") for second in (0, 1, 2, 5, 6)]
    new = [frame(second) for second in (3, 4, 19, *range(40, 60))]
    result = assign_splits(new, val, same(val + new, 0), CONFIG)
    assert {result.splits[item.id] for item in new[:3]} == {"val"}
    counts = Counter(result.splits[item.id] for item in new[3:])
    assert (
        counts["val"] == 0 and counts["gate"] >= 3
    )  # val has its share by the frames that follow it


def test_a_block_in_two_splits_pulls_to_the_nearest() -> None:
    settled = [frame(2, split="labelled"), frame(10, split="gate")]
    new = [frame(4), frame(8)]
    assert list(assign_splits(new, settled, same([*new, *settled], 0), CONFIG).splits.values()) == [
        "labelled",
        "gate",
    ]


def test_images_of_a_folder_share_blocks_cameras_do_not() -> None:
    one, two = frame(0, source="day/1.jpg"), frame(1, source="day/2.jpg")
    assert (
        block_of(one, 20)
        == block_of(two, 20)
        != block_of(frame(1, source="day/2.jpg", camera="other"), 20)
    )
    assert block_of(frame(1, source="day/1.mp4"), 20) != block_of(frame(1, source="day/2.mp4"), 20)


def test_leaks_are_neighbors_and_look_alikes_of_val_and_gate_only() -> None:
    masked = [
        frame(10, split="val", bits=0),
        frame(30, split="labelled", bits=2**64 - 1),
        frame(50, split="gate", bits=0xFFFF),
    ]
    free = {
        "in the block of val": frame(0, bits=FAR),
        "in that of labelled": frame(31, bits=FAR),
        "in that of gate": frame(59, bits=FAR),
        "in none": frame(70, bits=FAR),
        "like val": frame(500, bits=0b1111),
        "not quite": frame(501, bits=0b11111),
        "like gate": frame(3, camera="other", bits=0xFFFE),
        "like labelled": frame(502, bits=2**64 - 2),
        "same time of another source": frame(10, source="b.mp4", bits=FAR),
    }
    found = leaking_frames([*masked, *free.values()], near_duplicate=4, block_seconds=20)
    leaking = {name for name, item in free.items() if item.id in found}
    assert leaking == {"in the block of val", "in that of gate", "like val", "like gate"}


def test_within_a_mixed_block_the_nearest_mask_decides() -> None:
    masked = [frame(2, split="labelled", bits=0), frame(12, split="val", bits=2**64 - 1)]
    free = [frame(second, bits=FAR) for second in (0, 5, 9, 19)]
    assert leaking_frames([*masked, *free], 4, 20) == {free[2].id, free[3].id}


def test_withheld_frames_come_back() -> None:
    judge, free = frame(0, split="val", bits=0), frame(5, bits=2**64 - 1)
    withheld = mark_withheld([judge, free], CONFIG)
    assert [item.withheld for item in withheld] == [False, True]
    assert mark_withheld([withheld[1]], CONFIG) == [free]
