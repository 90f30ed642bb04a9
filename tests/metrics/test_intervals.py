"""Intervals: the bootstrap knows a real difference from chance, and few frames from many."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.metrics import (
    MiouGain,
    block_length,
    explain_doubt,
    format_interval,
    frames_needed,
    iou_margins,
    mean_gain_interval,
    miou,
    miou_interval,
    paired_bootstrap,
)


def _frames(accuracy: float, seed: int, frames: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = np.zeros((frames, 3, 3), np.int64)
    for frame in counts:
        for row in range(3):
            right = rng.binomial(500, accuracy)
            frame[row, row] = right
            frame[row, (row + 1) % 3] = 500 - right
    return counts


def test_bootstrap_finds_a_real_gain_and_none_between_equals() -> None:
    better, worse = _frames(0.9, 1), _frames(0.8, 2)
    gain = paired_bootstrap(better, worse)
    assert gain.low > 0 and gain.low < gain.mean < gain.high
    assert gain.mean == pytest.approx(miou(better.sum(0)) - miou(worse.sum(0)))
    same = paired_bootstrap(worse, worse)
    assert same.mean == same.low == same.high == 0


def test_bootstrap_widens_when_frames_are_copies_drawn_in_blocks() -> None:
    one, other = _frames(0.85, 3, 10), _frames(0.84, 4, 10)
    copies = paired_bootstrap(one.repeat(8, 0), other.repeat(8, 0))
    blocks = paired_bootstrap(one.repeat(8, 0), other.repeat(8, 0), block=8)
    assert blocks.high - blocks.low > 1.5 * (copies.high - copies.low)
    assert blocks == paired_bootstrap(one, other)
    alone, apart, together = (
        iou_margins(each[None], block=n)
        for each, n in ((one, 1), (one.repeat(8, 0), 1), (one.repeat(8, 0), 8))
    )
    assert together == pytest.approx(alone) and (apart < 0.6 * alone).all()


@pytest.mark.parametrize(
    ("frames", "block"), [(1, 1), (9, 1), (10, 2), (49, 9), (50, 10), (1000, 10)]
)
def test_neighbors_are_drawn_together_by_tens_but_at_least_five_blocks_are_left(
    frames: int, block: int
) -> None:
    assert block_length(frames) == block


def test_margins_are_nought_where_all_frames_agree_and_wide_where_few_differ() -> None:
    same = np.tile(np.array([[8, 2, 0], [2, 8, 0], [0, 0, 0]]), (20, 1, 1))
    still = iou_margins(same[None])
    assert still[:2] == pytest.approx(0, abs=1e-9) and np.isnan(still[2])
    rng = np.random.default_rng(0)
    hits = rng.integers(0, 11, 400)
    mixed = np.stack([[[h, 10 - h], [0, 10]] for h in hits])
    few, many = iou_margins(mixed[None, :25])[0], iou_margins(mixed[None])[0]
    assert many == pytest.approx(
        100 * 1.96 * np.std(hits / 10) / 400**0.5, rel=0.15
    )  # as theory has it for a mean
    assert few > 2.5 * many


def test_a_gain_over_runs_is_the_difference_of_means_and_of_one_run_the_paired_bootstrap() -> None:
    rng = np.random.default_rng(1)
    runs = rng.integers(1, 50, (4, 30, 3, 3))
    found = mean_gain_interval(runs[:2], runs[2:])
    means = [miou(run.sum(0)) for run in runs]
    assert found.mean == pytest.approx(np.mean(means[:2]) - np.mean(means[2:]))
    assert found.low < found.mean < found.high
    assert mean_gain_interval(runs[:1], runs[1:2]) == paired_bootstrap(runs[0], runs[1])


def test_a_figure_lies_in_its_interval_which_many_frames_narrow() -> None:
    few, many = (miou_interval(_frames(0.85, 3, number)) for number in (9, 400))
    for found in (few, many):
        assert found.low < found.miou < found.high
    assert few.high - few.low > 4 * (many.high - many.low)
    assert few.miou == miou(_frames(0.85, 3, 9).sum(0)) and few.frames == 9


def test_numbered_blocks_are_neighbors_where_they_number_neighbors_and_need_no_order() -> None:
    counts = _frames(0.85, 5, 12)
    by_length = miou_interval(counts, block=3)
    assert miou_interval(counts, block=[0] * 3 + [1] * 3 + [2] * 3 + [3] * 3) == by_length
    mixed = np.argsort([7, 3, 11, 0, 9, 1, 5, 2, 10, 4, 8, 6])
    assert miou_interval(counts[mixed], block=[int(place) // 3 for place in mixed]) == by_length
    with pytest.raises(ValueError, match="2 block numbers for 12 frames"):
        miou_interval(counts, block=[0, 1])


def test_one_frame_or_one_block_has_no_interval() -> None:
    lone = miou_interval(_frames(0.9, 1, 1))
    assert lone.as_json() == {"low": None, "high": None, "frames": 1}
    assert format_interval({"interval": lone.as_json()}) == "(on 1 val frame, which says little)"
    assert np.isnan(miou_interval(_frames(0.9, 1, 4), block=9).low)
    assert format_interval({}) == ""


def test_frames_enough_tell_a_difference_apart_four_times_of_five() -> None:
    assert frames_needed(MiouGain(1.0, -4.0, 6.0), 20, 2.0) == 256  # 20 (2.80 * 2.55 / 2)^2
    rng = np.random.default_rng(0)

    def pair(frames: int) -> MiouGain:
        right = rng.binomial(100, np.clip(rng.normal(0.7, 0.1, (2, frames)), 0, 1))
        right[0] += 2
        first, second = (
            np.stack([[[hit, 100 - hit], [0, 0]] for hit in of_model]) for of_model in right
        )
        return paired_bootstrap(first, second, draws=200)

    needed = frames_needed(pair(2000), 2000, 2.0)
    found = sum(pair(needed).low > 0 for _ in range(40))
    assert 24 <= found <= 39  # four of five, seen in 40 trials


def test_doubt_is_told_with_the_frames_that_would_end_it_and_only_where_there_is_any() -> None:
    sentence = explain_doubt(MiouGain(1.0, -4.0, 6.0), 20, "u2pl", "suponly")
    assert sentence == (
        "20 val frames cannot tell u2pl from suponly: it lies between -4.0 and +6.0 points "
        "(95 %); about 260 would tell 2 points and about 1100 these 1.0, four times out of five"
    )
    assert explain_doubt(MiouGain(3.0, 1.0, 5.0), 20, "u2pl", "suponly") is None
    assert explain_doubt(MiouGain(-3.0, -5.0, -1.0), 20, "u2pl", "suponly") is None
    assert "do the same" in str(explain_doubt(MiouGain(0, 0, 0), 20, "u2pl", "suponly"))
    assert "1 gate frame cannot" in str(explain_doubt(MiouGain(0, -0.0, 1), 1, "a", "b", "gate"))
    far = explain_doubt(MiouGain(0.1, -40.0, 40.0), 200, "u2pl", "suponly")
    assert "more than 10000 would tell 2 points" in str(far)
