"""The choice of the frames that a round learns from."""

from __future__ import annotations

from edgeseg.adapt.records.record_selection import RecordCandidate, select_records
from edgeseg.imaging.perceptual_hash import dhash
from edgeseg.site import Frame
from tests.helpers.rounds import scene


def candidate(seed: int, score: float, *, control: bool = False) -> RecordCandidate:
    image = scene(seed)[0]
    frame = Frame(
        id=f"cam-{seed:04d}",
        camera="cam",
        time=0.0,
        source="box",
        split="unlabelled",
        image="x",
        mask=None,
        height=1,
        width=1,
        hash=f"{dhash(image):016x}",
        origin="log",
    )
    return RecordCandidate(frame, score, control)


def test_the_highest_scores_and_the_control_stream_are_chosen() -> None:
    scored = [candidate(seed, score) for seed, score in ((1, 0.5), (2, 0.9), (3, 0.7), (4, 0.1))]
    control = [candidate(5, 0.0, control=True)]
    chosen = select_records(scored + control, max_records=3, near_duplicate=4)
    assert chosen.chosen == ("cam-0005", "cam-0002", "cam-0003")
    assert (chosen.control, chosen.over, chosen.duplicates) == (1, 2, 0)


def test_near_copies_of_a_chosen_frame_are_dropped() -> None:
    twins = [
        candidate(1, 0.9),
        RecordCandidate(Frame(**{**vars(candidate(1, 0).frame), "id": "cam-twin"}), 0.8, False),
    ]
    chosen = select_records([*twins, candidate(2, 0.1)], max_records=10, near_duplicate=4)
    assert chosen.chosen == ("cam-0001", "cam-0002")
    assert chosen.duplicates == 1


def test_the_control_stream_never_takes_more_than_half() -> None:
    control = [candidate(seed, 0.0, control=True) for seed in range(20)]
    scored = [candidate(seed, 0.5) for seed in range(20, 30)]
    chosen = select_records(control + scored, max_records=10, near_duplicate=0)
    assert (chosen.control, len(chosen.chosen)) == (5, 10)


def test_the_choice_does_not_depend_on_the_order() -> None:
    everyone = [candidate(seed, (seed * 37 % 10) / 10, control=seed % 3 == 0) for seed in range(30)]
    assert select_records(everyone, max_records=12, near_duplicate=4) == select_records(
        everyone[::-1], max_records=12, near_duplicate=4
    )
