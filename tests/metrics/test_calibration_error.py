"""Confidence against accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.metrics import Reliability, expected_calibration_error


def sure_of(confidence: float, pixels: int) -> np.ndarray:
    """Logits of two classes whose softmax gives the first one this probability."""
    return np.tile(np.log([confidence, 1 - confidence]).astype(np.float32), (pixels, 1))


def test_each_bin_tells_confidence_accuracy_and_its_share_of_the_pixels() -> None:
    logits = np.concatenate([sure_of(0.9, 10), sure_of(0.6, 30)])
    labels = np.zeros(40, np.uint8)
    labels[:5] = 1  # half of the pixels that the network was sure of
    counted = Reliability.count(logits, labels, bins=10)
    (low, high) = counted.points()
    assert low == pytest.approx((0.6, 1.0, 0.75))
    assert high == pytest.approx((0.9, 0.5, 0.25))
    assert counted.error == pytest.approx(0.75 * 0.4 + 0.25 * 0.4)


def test_frames_are_added_before_they_are_divided() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (500, 4)).astype(np.float32)
    labels = generator.integers(0, 4, 500).astype(np.uint8)
    whole = Reliability.count(logits, labels)
    parts = Reliability.empty()
    for start in range(0, 500, 90):
        parts += Reliability.count(logits[start : start + 90], labels[start : start + 90])
    assert parts.pixels.tolist() == whole.pixels.tolist() and whole.pixels.sum() == 500
    assert parts.error == pytest.approx(whole.error)
    assert expected_calibration_error(logits, labels) == pytest.approx(whole.error)


def test_a_network_that_is_right_as_often_as_it_says_has_no_error() -> None:
    labels = np.array([0] * 8 + [1] * 2, np.uint8)
    assert expected_calibration_error(sure_of(0.8, 10), labels) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_without_a_number_is_left_out(value: float) -> None:
    logits = sure_of(0.8, 11)
    logits[3, 1] = value
    labels = np.array([0] * 9 + [1] * 2, np.uint8)
    assert Reliability.count(logits, labels).pixels.sum() == 10
    assert expected_calibration_error(logits, labels) == pytest.approx(0, abs=1e-6)
    assert Reliability.count(np.full((2, 3), value, np.float32), labels[:2]).error == 0


def test_no_pixel_is_no_error() -> None:
    nothing = Reliability.count(np.zeros((0, 3), np.float32), np.zeros(0, np.uint8))
    assert nothing.error == 0 and nothing.points() == []
