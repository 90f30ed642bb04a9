"""The automatic split: whole blocks, fair shares, classes everywhere, and nothing moved."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.config import DataConfig
from edgeseg.data.blocks import block_of
from edgeseg.data.splits import assign_splits, has_few_blocks, known_places_note
from edgeseg.site import Frame
from tests.helpers.sites import index_frame

CONFIG = DataConfig()


def with_classes(frames: list[Frame], *classes: int) -> dict[str, list[int]]:
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
    frames = [index_frame(time, source=source) for source, time, _ in drawn]
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
    frames = [index_frame(second) for second in range(1000)]
    result = assign_splits(frames, [], with_classes(frames, 0), CONFIG)
    counts = Counter(result.splits.values())
    assert 190 <= counts["val"] <= 220 and 140 <= counts["gate"] <= 170 and not result.parted
    assert all(
        len({result.splits[item.id] for item in frames[start : start + 20]}) == 1
        for start in range(0, 1000, 20)
    )


def test_another_seed_is_another_split() -> None:
    frames = [index_frame(second) for second in range(1000)]
    assert assign_splits(frames, [], with_classes(frames, 0), CONFIG) != assign_splits(
        frames, [], with_classes(frames, 0), DataConfig(seed=1)
    )


def test_a_single_stretch_is_cut_into_neighboring_runs() -> None:
    frames = [index_frame(second) for second in range(20)]
    result = assign_splits(frames, [], with_classes(frames, 0), CONFIG)
    counts = Counter(result.splits.values())
    assert (
        result.parted == 1
        and counts["labelled"] >= 12
        and counts["val"] >= 3
        and counts["gate"] >= 2
    )
    order = [result.splits[item.id] for item in frames]
    assert sum(left != right for left, right in pairwise(order)) <= 6


def test_a_class_in_three_blocks_is_in_every_split_and_a_lone_one_stays_in_training() -> None:
    frames = [index_frame(20 * number) for number in range(40)]
    for seed in range(8):
        pixels = with_classes(frames, 0)
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
    val = [index_frame(second, split="val") for second in (0, 1, 2, 5, 6)]
    new = [index_frame(second) for second in (3, 4, 19, *range(40, 60))]
    result = assign_splits(new, val, with_classes(val + new, 0), CONFIG)
    assert {result.splits[item.id] for item in new[:3]} == {"val"}
    counts = Counter(result.splits[item.id] for item in new[3:])
    assert (
        counts["val"] == 0 and counts["gate"] >= 3
    )  # val has its share by the frames that follow it


def test_a_block_in_two_splits_pulls_to_the_nearest() -> None:
    settled = [index_frame(2, split="labelled"), index_frame(10, split="gate")]
    new = [index_frame(4), index_frame(8)]
    assert list(
        assign_splits(new, settled, with_classes([*new, *settled], 0), CONFIG).splits.values()
    ) == ["labelled", "gate"]


def test_val_of_a_recording_that_training_knows_is_told_and_a_section_of_its_own_is_not() -> None:
    drive = [index_frame(time, split="labelled") for time in (0, 30, 60)]
    between, apart = (
        [index_frame(time, split="val", source=source) for time in (15, 45)]
        for source in ("a.mp4", "b.mp4")
    )
    assert known_places_note([*drive, *apart]) == known_places_note(drive) == ""
    note = known_places_note([*drive, *between, *apart])
    assert note.startswith("2 of 4 val frames") and "--split val" in note


def label_one_by_one(frames: list[Frame], *, few_blocks: bool) -> Counter[str]:
    settled: list[Frame] = []
    pixels = with_classes(frames, 0)
    for frame in frames:
        result = assign_splits([frame], settled, pixels, CONFIG, few_blocks=few_blocks)
        settled.append(replace(frame, split=result.splits[frame.id]))
    return Counter(frame.split for frame in settled)


def test_a_short_clip_that_is_labelled_frame_by_frame_fills_every_split() -> None:
    """As `edgeseg label` does; 3 val frames are what an export asks for."""
    clip = [index_frame(time) for time in (19, 17, 6, 27, 16, 7, 18, 5, 26, 15, 8, 0)]
    assert has_few_blocks(clip, CONFIG)
    assert label_one_by_one(clip, few_blocks=True) == {"labelled": 7, "val": 3, "gate": 2}
    assert label_one_by_one(clip, few_blocks=False)["gate"] == 0


def test_a_site_of_many_stretches_keeps_neighbors_together() -> None:
    hours = [index_frame(60 * minute) for minute in range(20)]
    assert not has_few_blocks(hours, CONFIG)
    late = index_frame(61)  # next to one that trains
    settled = [replace(frame, split="labelled") for frame in hours]
    result = assign_splits([late], settled, with_classes([late, *hours], 0), CONFIG)
    assert result.splits == {late.id: "labelled"}


def test_a_section_that_was_held_back_stays_whole_on_a_short_site() -> None:
    """A frame between two of val trains no model, whatever training still lacks."""
    settled = [index_frame(time, split="labelled", source="a.mp4") for time in range(0, 19, 2)]
    settled += [index_frame(time, split="val", source="b.mp4") for time in range(0, 19, 4)]
    settled += [index_frame(time, split="gate", source="c.mp4") for time in range(0, 19, 4)]
    new = [index_frame(5, source="b.mp4"), index_frame(7, source="c.mp4")]
    result = assign_splits(new, settled, with_classes([*new, *settled], 0), CONFIG, few_blocks=True)
    assert [result.splits[frame.id] for frame in new] == ["val", "gate"]


def test_a_clip_is_parted_only_where_neighbors_part() -> None:
    settled = [index_frame(time, split="labelled") for time in (0, 2, 4)]
    settled += [index_frame(14, split="val"), index_frame(18, split="gate")]
    follower = index_frame(1)
    result = assign_splits(
        [follower], settled, with_classes([follower, *settled], 0), CONFIG, few_blocks=True
    )
    assert result.splits == {follower.id: "labelled"} and result.parted == 0
