"""Figures of the methods: rare classes, order, the rows of the table."""

from __future__ import annotations

from edgeseg.compare.result_table import table_row
from edgeseg.compare.results import RARE_SHARE, group_by_method, rare_classes
from tests.helpers.comparison import method_result


def test_rare_classes_are_labelled_and_below_the_share_or_the_rarest() -> None:
    assert RARE_SHARE == 0.05 and rare_classes({"a": 951, "b": 49, "c": 0}) == ["b"]
    assert rare_classes({"a": 60, "b": 40}) == ["b"]


def test_standings_are_sorted_and_keep_what_failed() -> None:
    runs = [*method_result("a", [50, 52]).runs, *method_result("b", [60]).runs]
    results = group_by_method(runs, {("b", 1): "boom", ("c", 0): "bang"}, ["c", "a", "b", "d"])
    assert [each.method for each in results] == ["b", "a", "c"]
    line = table_row(results[0], results[1], ["c0", "c1"])
    assert (line["gain"], line["rare_iou"], line["sd"], line["failed"]) == (
        9.0,
        60.0,
        None,
        {"1": "boom"},
    )
    assert table_row(results[2], results[1], []) == {
        "method": "c",
        "seeds": 0,
        "failed": {"0": "bang"},
    }
