"""A collapse of self-training is noticed, and a drift is told."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.adapt.collapse_alarms import PseudoLabelStatistics, compare_histograms

NAMES = ("sky", "water", "bank")


def compare(predicted: tuple[float, ...], labelled: tuple[float, ...]) -> PseudoLabelStatistics:
    pixels = np.array(predicted) * 1e6
    return compare_histograms(
        NAMES[: len(pixels)],
        predicted=pixels,
        kept=pixels * 0.8,
        labelled=np.array(labelled) * 1e5,
        gamma=0.3,
        frames=9,
    )


def test_like_the_labels_raises_no_alarm() -> None:
    statistics = compare((0.3, 0.5, 0.2), (0.35, 0.45, 0.2))
    assert (statistics.alarms, statistics.collapse, statistics.kept) == ((), "", 0.8)
    assert statistics.kl < 0.05


def test_a_drift_of_the_classes_is_told_but_does_not_stop() -> None:
    statistics = compare((0.1, 0.1, 0.8), (0.5, 0.4, 0.1))
    assert statistics.collapse == ""
    assert len(statistics.alarms) == 1 and "bank" in statistics.alarms[0]


def test_kl_is_that_of_the_formula() -> None:
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.3, 0.2])
    assert compare((0.2, 0.3, 0.5), (0.5, 0.3, 0.2)).kl == pytest.approx(
        float(np.sum(p * np.log(p / q))), abs=2e-3
    )


def test_one_class_that_swallows_all_is_a_collapse() -> None:
    assert "water takes 99" in compare((0.005, 0.99, 0.005), (0.3, 0.5, 0.2)).collapse


def test_fewer_effective_classes_are_a_collapse() -> None:
    assert "amount to 1." in compare((0.97, 0.02, 0.01), (0.34, 0.33, 0.33)).collapse


def test_a_site_that_is_nearly_one_class_is_judged_by_its_own_labels() -> None:
    assert compare((0.985, 0.010, 0.005), (0.985, 0.010, 0.005)).collapse == ""
    assert "sky takes" in compare((0.999, 0.0005, 0.0005), (0.985, 0.010, 0.005)).collapse


def test_a_class_without_labels_is_no_infinity() -> None:
    statistics = compare((0.3, 0.4, 0.3), (0.5, 0.5, 0.0))
    assert np.isfinite(statistics.kl) and statistics.alarms
