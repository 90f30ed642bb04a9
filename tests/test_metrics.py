"""Figures: counts are summed before they are divided, and the bootstrap knows a real difference
from chance.
"""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.metrics import (
    block_length,
    confusion_matrix,
    iou,
    iou_margins,
    mean_gain_interval,
    miou,
    miou_of_each,
    paired_bootstrap,
    pixel_agreement,
)


def test_confusion_counts_by_truth_and_prediction_and_skips_ignored_pixels() -> None:
    truth = np.array([[0, 1, 255], [2, 2, 1]], np.uint8)
    predicted = np.array([[0, 2, 1], [2, 1, 1]], np.uint8)
    assert confusion_matrix(truth, predicted, 3).tolist() == [[1, 0, 0], [0, 1, 1], [0, 1, 1]]


@pytest.mark.parametrize("predicted", [np.zeros((2, 2), np.uint8), np.full((2, 3), 7, np.uint8)])
def test_confusion_refuses_other_shapes_and_unknown_classes(predicted: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"shape|below"):
        confusion_matrix(np.zeros((2, 3), np.uint8), predicted, 3)


def test_a_class_in_neither_truth_nor_prediction_does_not_count() -> None:
    counts = np.diag([4, 0, 4])
    counts[0, 2] = 2
    values = iou(counts)
    assert np.isnan(values[1])
    assert values[[0, 2]] == pytest.approx([100 * 4 / 6, 100 * 4 / 6])
    assert miou(counts) == pytest.approx(100 * 4 / 6)


def test_a_predicted_class_without_truth_lowers_the_others_but_is_no_class_of_its_own() -> None:
    counts = np.array([[8, 2], [0, 0]])
    assert miou(counts) == pytest.approx(80.0)


def test_miou_of_many_matrices_equals_one_at_a_time() -> None:
    many = np.random.default_rng(0).integers(0, 50, (7, 4, 4))
    assert miou_of_each(many) == pytest.approx([miou(counts) for counts in many])


def test_nothing_counted_is_nan_not_zero() -> None:
    assert np.isnan(miou(np.zeros((3, 3), np.int64)))


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


def test_agreement_is_a_share_of_pixels() -> None:
    assert pixel_agreement(np.array([[1, 2]], np.uint8), np.array([[1, 3]], np.uint8)) == 50.0


def test_margins_are_nought_where_all_frames_agree_and_wide_where_few_differ() -> None:
    same = np.tile(np.array([[8, 2, 0], [2, 8, 0], [0, 0, 0]]), (20, 1, 1))
    still = iou_margins(same[None])
    assert still[:2] == pytest.approx(0) and np.isnan(still[2])
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
