"""Figures of the methods: rare classes, order, the rows of the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edgeseg.compare.result_table import table_row
from edgeseg.compare.results import (
    COUNTS_FILE,
    RARE_SHARE,
    MethodResult,
    group_by_method,
    rare_classes,
    read_run,
)
from tests.helpers.comparison import method_result


def test_rare_classes_are_labelled_and_below_the_share_or_the_rarest() -> None:
    assert RARE_SHARE == 0.05 and rare_classes({"a": 951, "b": 49, "c": 0}) == ["b"]
    assert rare_classes({"a": 60, "b": 40}) == ["b"]


def test_a_class_that_val_does_not_show_counts_in_no_run_of_an_older_version(
    tmp_path: Path,
) -> None:
    last = {"miou": 50.0, "per_class": {"a": 60.0, "b": 40.0, "c": 0.0}}
    metrics = {"last": {"ema": last}, "best": {"miou": 50.0, "step": 4}, "seconds_per_step": 0.1}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    counts = np.array([[[6, 0, 4], [0, 4, 6], [0, 0, 0]]])  # "c" is predicted, never true
    before = read_run(tmp_path, "suponly", 0)
    assert before is not None and before.per_class["c"] == 0.0  # nobody can say without counts
    np.save(tmp_path / COUNTS_FILE, counts)
    run = read_run(tmp_path, "suponly", 0)
    assert run is not None and run.per_class == {"a": 60.0, "b": 40.0, "c": None}
    result = MethodResult("suponly", (run,), {})
    assert result.mean_iou_of(["b", "c"]) == 40.0


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
