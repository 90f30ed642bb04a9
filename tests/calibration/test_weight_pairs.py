"""Pairs of weights that the kernel adds first never overflow, and few weights change for it."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.calibration.weight_pairs import MAX_PAIR, largest_pairs, pairings, without_overflow
from edgeseg.calibration.weight_rounding import GramMatrix, round_weights


def test_partners_are_neighbors_in_the_order_of_the_kernel() -> None:
    (once,) = pairings((4, 3, 1, 2), 1)  # the kernel's order is 0, 2, 4, 1, 3, 5
    assert once.tolist() == [2, 4, 0, 5, 1, 3]
    _, later = pairings((4, 3, 1, 2), 1, shifted=True)
    assert later.tolist() == [0, 3, 4, 1, 2, 5], "the first and the last have none"
    assert pairings((4, 5, 1, 1), 1)[0].tolist() == [1, 0, 3, 2, 4]
    assert pairings((8, 1, 3, 3), 8) == [], "depthwise"
    assert len(pairings((8, 2, 3, 3), 4)) == 1


def test_only_equal_signs_add_up() -> None:
    ways = pairings((3, 4, 1, 1), 1)
    integers = np.array([[100, 100, -3, 0], [-127, -2, 90, -90], [127, 2, 0, 60]], np.int8)
    assert largest_pairs(integers.astype(int), ways).tolist() == [200, 129, 129]
    settled = without_overflow(integers[:, :, None, None], ways)[:, :, 0, 0]
    assert settled.tolist() == [[28, 100, -3, 0], [-126, -2, 90, -90], [126, 2, 0, 60]]
    assert largest_pairs(settled.astype(int), ways).max() == MAX_PAIR
    assert largest_pairs(integers, []).tolist() == [0, 0, 0]


@pytest.mark.parametrize("shifted", [False, True])
def test_weights_are_rounded_without_overflow_and_the_rest_makes_it_good(shifted: bool) -> None:
    random, shape = np.random.default_rng(0), (6, 5, 3, 3)
    weight, bias = random.normal(0, 1, shape).astype(np.float32), np.zeros(6, np.float32)
    inputs = random.normal(2, 1, (1, 500, 45)).astype(np.float32)
    inputs += random.normal(0, 2, (1, 500, 1)).astype(np.float32)  # correlated, as in images
    ways = pairings(shape, 1, shifted=shifted)
    scales = np.abs(weight).max((1, 2, 3)) / 127  # too fine for the pairs: some are cut
    assert (largest_pairs(weight / scales[:, None, None, None], ways) > MAX_PAIR).any()

    def error(*ways_of_rounding: list[np.ndarray]) -> float:
        gram = GramMatrix(shape)
        gram.collect(inputs)
        integers, shifts = round_weights(weight, bias, scales, gram, *ways_of_rounding)
        if not ways_of_rounding:
            integers = without_overflow(integers, ways)
        assert largest_pairs(integers.astype(int), ways).max() <= MAX_PAIR
        rows = (integers * scales[:, None, None, None] - weight).reshape(6, -1)
        return float(np.mean((inputs[0] @ rows.T + shifts) ** 2))

    assert error(ways) < 0.5 * error()
