"""Confusion matrices: counts are summed before they are divided."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.metrics import (
    confusion_matrix,
    format_class_iou,
    iou,
    iou_of_shown,
    miou,
    miou_of_each,
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
    assert iou(counts)[1] == 0  # by the formula, of a class that no frame shows
    shown = iou_of_shown(np.stack([counts, counts[::-1, ::-1]]))
    assert np.isnan(shown).tolist() == [[False, True], [True, False]]
    assert np.nanmean(shown, 1) == pytest.approx(miou_of_each(np.stack([counts] * 2)))


def test_a_class_that_is_not_shown_is_marked_and_not_told_as_nothing() -> None:
    assert format_class_iou(0.0) == "0.0"
    assert format_class_iou(None) == "not in val"
    assert format_class_iou(12.345, 2) == "12.35"


def test_miou_of_many_matrices_equals_one_at_a_time() -> None:
    many = np.random.default_rng(0).integers(0, 50, (7, 4, 4))
    assert miou_of_each(many) == pytest.approx([miou(counts) for counts in many])


def test_nothing_counted_is_nan_not_zero() -> None:
    assert np.isnan(miou(np.zeros((3, 3), np.int64)))


def test_agreement_is_a_share_of_pixels() -> None:
    assert pixel_agreement(np.array([[1, 2]], np.uint8), np.array([[1, 3]], np.uint8)) == 50.0
