"""The method that a comparison recommends, and what it says about chance."""

from __future__ import annotations

import pytest

from edgeseg.compare.recommendation import find_causes, recommend_method
from edgeseg.compare.seed_noise import ASSUMED_SPREAD, SeedNoise
from edgeseg.metrics import student_t_quantile
from tests.helpers.comparison import method_result


def test_a_clear_winner_is_taken() -> None:
    results = [
        method_result("suponly", [50, 51, 52]),
        method_result("a", [60, 61, 62]),
        method_result("b", [55, 56, 57]),
    ]
    recommendation = recommend_method(results)
    assert recommendation.method == "a" and recommendation.sentences[0].startswith(
        "take a: +10.0 points over suponly"
    )
    assert "sd 1.00 points, 6 degrees of freedom" in recommendation.sentences[-1]
    assert recommendation.noise == pytest.approx(student_t_quantile(0.025, 6) * (2 / 3) ** 0.5)


@pytest.mark.parametrize(("seconds", "expected"), [(0.5, "b"), (0.95, "a"), (2.0, "a")])
def test_a_cheaper_method_within_noise_is_preferred(seconds: float, expected: str) -> None:
    results = [
        method_result("suponly", [50, 51, 52]),
        method_result("a", [60, 61, 62]),
        method_result("b", [59, 60, 61], seconds),
    ]
    recommendation = recommend_method(results)
    assert recommendation.method == expected
    assert any(
        "within noise" in text and "50 % of its time" in text for text in recommendation.sentences
    ) == (expected == "b")


def test_a_cheaper_method_that_does_not_beat_the_floor_is_no_choice() -> None:
    results = [
        method_result("suponly", [50, 52]),
        method_result("a", [60, 60.5]),
        method_result("b", [54, 60], 0.1),
    ]
    noise = SeedNoise.estimate(results)
    assert results[2].mean - results[0].mean < noise.margin(results[2], results[0])
    assert recommend_method(results).method in ("suponly", "a")


def test_a_tie_goes_to_the_floor_and_asks_for_more() -> None:
    recommendation = recommend_method(
        [method_result("suponly", [50, 53, 51]), method_result("a", [52, 50, 54])]
    )
    assert recommendation.method == "suponly"
    assert (
        "did not help measurably" in recommendation.sentences[0]
        and "more seeds" in recommendation.sentences[-2]
    )


def test_a_floor_that_wins_is_said_with_the_typical_causes_and_those_of_the_site() -> None:
    recommendation = recommend_method(
        [method_result("suponly", [60, 61]), method_result("a", [50, 51])],
        ["wall in no labelled frame"],
    )
    assert (
        recommendation.method == "suponly"
        and "even a is 10.0 points below" in recommendation.sentences[0]
    )
    assert recommendation.sentences[1].startswith("typical causes: a threshold too low")
    assert recommendation.sentences[2] == "this site shows: wall in no labelled frame"
    assert not any("more seeds" in text for text in recommendation.sentences)


@pytest.mark.parametrize(("value", "expected"), [(54.1, "suponly"), (54.2, "a")])
def test_with_one_seed_the_spread_is_assumed(value: float, expected: str) -> None:
    assert student_t_quantile(0.05, 10_000) * ASSUMED_SPREAD * 2**0.5 == pytest.approx(
        4.158, abs=1e-3
    )
    recommendation = recommend_method([method_result("suponly", [50]), method_result("a", [value])])
    assert (
        recommendation.method == expected
        and "scatter by 1.5 points" in recommendation.sentences[-1]
    )


def test_the_best_of_many_must_be_better_than_the_best_of_one() -> None:
    floor, best = method_result("suponly", [50, 51, 52]), method_result("a", [52.5, 53.5, 54.5])
    assert recommend_method([floor, best]).method == "a"  # by 2.5 points
    others = [method_result(f"m{number}", [50, 51, 52]) for number in range(7)]
    assert recommend_method([floor, best, *others]).method == "suponly"
    limits = [recommend_method([floor, best, *others[:number]]).noise or 0 for number in (0, 3, 7)]
    assert limits[0] == pytest.approx(student_t_quantile(0.05, 4) * (2 / 3) ** 0.5)
    assert limits[2] == pytest.approx(student_t_quantile(0.05 / 8, 18) * (2 / 3) ** 0.5)
    assert "the best of 8 is the luckiest" in recommend_method([floor, best, *others]).sentences[-1]


def test_a_method_that_scatters_wildly_does_not_hide_what_the_others_show() -> None:
    good = [method_result("suponly", [50, 50.5, 49.5]), method_result("u2pl", [55, 55.5, 54.5])]
    assert recommend_method(good).method == "u2pl"
    recommendation = recommend_method([*good, method_result("gct", [30, 50, 10])])
    assert (
        recommendation.method == "u2pl" and "gct scatters far more" in recommendation.sentences[-1]
    )
    noise = SeedNoise.estimate([*good, method_result("gct", [30, 50, 10])])
    assert noise.spread == pytest.approx(0.5) and noise.degrees_of_freedom == 4
    assert noise.margin(good[0], method_result("gct", [30, 50, 10])) == pytest.approx(
        student_t_quantile(0.025, 4) * (((4 * 0.25 + 2 * 400) / 6 + 0.25) / 3) ** 0.5
    )
    recommendation = recommend_method([*good, method_result("gct", [80, 50, 110])])
    assert (
        recommendation.method == "u2pl"
        and "a higher mean is that of gct, but its runs lie too far apart"
        in recommendation.sentences[1]
    )


def test_a_floor_that_scatters_wildly_does_not_win_by_it() -> None:
    """The demo's river: every run of the others is better than the best of the floor."""
    results = [
        method_result("suponly", [62.5, 53.1, 64.8]),
        method_result("a", [70.0, 69.9, 70.9]),
        method_result("b", [69.5, 70.1, 70]),
    ]
    assert (
        SeedNoise.estimate(results).outliers == {"suponly"}
        and recommend_method(results).method == "a"
    )


def test_a_method_of_which_runs_failed_is_no_choice() -> None:
    results = [
        method_result("suponly", [50, 51, 52]),
        method_result("cps", [58], failed={1: "x", 2: "x"}),
    ]
    recommendation = recommend_method(results)
    assert (
        recommendation.method == "suponly"
        and "left out is cps: 2 of its 3 runs failed" in recommendation.sentences[1]
    )
    recommendation = recommend_method([*results, method_result("a", [60, 61, 62])])
    assert recommendation.method == "a" and any(
        "left out is cps" in text for text in recommendation.sentences
    )


def test_what_is_missing_is_said() -> None:
    assert recommend_method([]).method is None
    assert recommend_method([method_result("a", [], failed={0: "x"})]).method is None
    assert (
        "nobody knows"
        in recommend_method(
            [method_result("a", [50]), method_result("suponly", [], failed={0: "x"})]
        ).sentences[0]
    )
    assert "nothing to compare" in recommend_method([method_result("suponly", [50])]).sentences[0]


def test_causes_are_those_that_the_site_shows() -> None:
    assert find_causes({"a": 50, "b": 50}, 20, ["one"], ["one"]) == []
    few, missing, strange, main = find_causes({"a": 99, "b": 1, "c": 0}, 5, ["one"], ["one", "two"])
    assert (
        "only 5 labelled" in few
        and missing == "c in no labelled frame"
        and "two" in strange
        and "99 %" in main
    )
