"""Histograms and range estimators: exact in one pass, and right on data whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from edgeseg.calibration.entropy import Entropy
from edgeseg.calibration.estimator import Estimator
from edgeseg.calibration.histogram import BINS, INT8_STEPS, UINT8_STEPS, Histogram
from edgeseg.calibration.minmax import MinMax
from edgeseg.calibration.mse import MSE
from edgeseg.calibration.percentile import Percentile

Values = NDArray[Any]  # Any: float32 or float64
ESTIMATORS: list[type[Estimator]] = [MinMax, Percentile, MSE, Entropy]
RANDOM = np.random.default_rng(0)


def collected(estimator: Estimator, values: Values, parts: int = 7) -> Estimator:
    for part in np.array_split(values.astype(np.float32), parts):
        estimator.collect(part)
    return estimator


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_order_in_which_values_arrive_changes_at_most_a_bin(kind: type[Estimator]) -> None:
    values = RANDOM.exponential(1, 100_000)
    rising, falling = (
        collected(kind(), part, 10) for part in (np.sort(values), np.sort(values)[::-1])
    )
    assert rising.range()[1] == pytest.approx(falling.range()[1], rel=0.03)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_ranges_are_symmetric_once_something_is_negative(kind: type[Estimator]) -> None:
    estimator = collected(kind(), np.linspace(0, 2, 1000))
    low, high = estimator.range()
    assert low == 0 < high <= 2
    estimator.collect(np.array([-1.0], np.float32))
    low, high = estimator.range()
    assert -low == high


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_zeros_have_an_empty_range_reset_forgets_and_nan_is_refused(kind: type[Estimator]) -> None:
    estimator = kind()
    estimator.collect(np.zeros(10, np.float32))
    assert estimator.range() == (0.0, 0.0)
    estimator.collect(np.array([3.0], np.float32))
    assert estimator.range()[1] > 0
    estimator.reset()
    assert estimator.range() == (0.0, 0.0) and estimator.histogram.total == 0
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="finite"):
            estimator.collect(np.array([1.0, bad], np.float32))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_range_scales_with_its_values(kind: type[Estimator]) -> None:
    values = RANDOM.normal(0, 1, 50_000)
    one, thousand = collected(kind(), values), collected(kind(), 1000 * values)
    assert thousand.range()[1] == pytest.approx(1000 * one.range()[1], rel=1e-3)


def test_counts_stay_exact_while_the_histogram_grows() -> None:
    values = np.concatenate([RANDOM.random(1000), [3.0], 40 * RANDOM.random(500), [-170.0]]).astype(
        np.float32
    )
    histogram = Histogram()
    for value in values:
        histogram.collect(value[None])
    assert (
        histogram.total == len(values) and histogram.max_magnitude == 170 and histogram.has_negative
    )
    edges = np.linspace(0, histogram.upper_edge, BINS + 1)
    wanted, _ = np.histogram(np.abs(values), edges)
    assert (
        np.abs(np.cumsum(histogram.counts) - np.cumsum(wanted)).max() <= 1
    )  # a value may lie on an edge


def test_min_max_covers_everything_and_the_percentile_leaves_out_the_rarest() -> None:
    values = np.linspace(0, 1, 1_000_000)
    values[::200_000] = 25
    assert collected(MinMax(), values).range() == (0, 25)
    low, high = collected(Percentile(), values).range()
    assert low == 0 and 0.99 < high < 1.02
    assert collected(Percentile(share=1.0), values).range()[1] == 25


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "values", [RANDOM.exponential(1, 40_000), RANDOM.normal(0, 1, 40_000)], ids=["one", "both"]
)
def test_mse_is_the_least_error_that_trying_finds(values: Values, signed: bool) -> None:
    values = np.concatenate([values, [60.0]])
    steps = INT8_STEPS if signed or (values < 0).any() else UINT8_STEPS

    def error(high: float) -> float:
        integers = np.clip(np.rint(values / high * steps), -steps, steps)
        return float(np.mean((values - integers * high / steps) ** 2))

    found = collected(MSE(), values).range(signed=signed)[1]
    best = min(error(high) for high in np.linspace(1, 60, 600))
    assert error(found) <= 1.05 * best < error(60.0)


def test_mse_keeps_more_range_where_codes_are_plenty() -> None:
    estimator = collected(MSE(), RANDOM.exponential(1, 100_000))
    assert estimator.range()[1] > 1.05 * estimator.range(signed=True)[1]


def test_entropy_agrees_with_onnx_runtime_where_that_has_enough_bins() -> None:
    values = np.concatenate([np.abs(RANDOM.normal(0, 1, 200_000)), [12.0]]).astype(np.float32)
    theirs = HistogramCollector(
        method="entropy",
        symmetric=True,
        num_bins=BINS,
        num_quantized_bins=2 * INT8_STEPS,
        percentile=0,
        scenario="same",
    )
    theirs.collect({"x": [np.concatenate([values, -values])]})
    wanted = float(theirs.compute_collection_result()["x"][1])
    found = collected(Entropy(), np.concatenate([values, -values])).range()[1]
    assert wanted < 8 and found == pytest.approx(wanted, rel=0.2)


def test_one_histogram_serves_all() -> None:
    histogram = Histogram()
    histogram.collect(RANDOM.normal(0, 1, 10_000).astype(np.float32))
    found = [kind(histogram).range()[1] for kind in ESTIMATORS]
    assert len(set(found)) == len(found) and max(found) == MinMax(histogram).range()[1]
