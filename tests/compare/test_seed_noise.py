"""The noise over seeds that a comparison takes for chance."""

from __future__ import annotations

import random

import pytest

from edgeseg.compare.recommendation import recommend_method
from edgeseg.compare.seed_noise import SeedNoise
from edgeseg.metrics import student_t_quantile
from tests.helpers.comparison import method_result


@pytest.mark.parametrize("rivals", [1, 7])
def test_methods_that_are_alike_are_told_apart_by_chance_as_rarely_as_the_rule_says(
    rivals: int,
) -> None:
    draw = random.Random(0)
    wrong = 0
    for _ in range(400):
        results = [
            method_result(name, [draw.gauss(50, 1.3) for _ in range(3)])
            for name in ["suponly", *map(str, range(rivals))]
        ]
        wrong += recommend_method(results).method != "suponly"
    assert wrong <= 18  # 2.5 % of 400 are 10; 2.6 standard deviations more


@pytest.mark.parametrize(
    ("doubt", "degrees", "expected"),
    [
        (0.05, 1, 12.706),
        (0.05, 2, 4.303),
        (0.05, 3, 3.182),
        (0.01, 9, 3.250),
        (0.05, 30, 2.042),
        (0.05, 10_000, 1.960),
    ],
)
def test_the_points_of_student_s_distribution_are_those_of_tables(
    doubt: float, degrees: int, expected: float
) -> None:
    assert student_t_quantile(doubt, degrees) == pytest.approx(expected, abs=6e-4)


def test_noise_is_pooled_over_methods_with_any_number_of_runs() -> None:
    results = [
        method_result("suponly", [50, 52]),
        method_result("a", [60]),
        method_result("b", [1, 2, 3]),
    ]
    noise = SeedNoise.estimate(results)
    assert noise.degrees_of_freedom == 3
    assert noise.spread == pytest.approx((4 / 3) ** 0.5)  # (1 + 1) + 0 + (1 + 0 + 1) over 1 + 0 + 2
    assert noise.margin(results[0], results[1]) == pytest.approx(
        student_t_quantile(0.025, 3) * (4 / 3) ** 0.5 * 1.5**0.5
    )
