"""The whole demo with tiny settings, and its table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.demo.demo_result import DemoResult, ModelResult
from edgeseg.demo.demo_runner import run_demo
from edgeseg.demo.html_page import result_table
from edgeseg.runtime.framelog.reader import iter_records


def test_the_table_marks_what_a_round_does_not_change(tmp_path: Path) -> None:
    rows = (
        ModelResult("SupOnly", 50.0, 40.0, None, 12.3),
        ModelResult("INT8", 60.0, 50.0, 57.25, 99.6),
    )
    head, table = result_table(
        DemoResult(tmp_path, rows, "published", "why", 3, 50.0, {}, tmp_path / "report.html")
    )
    assert len(head) == 5
    assert table == [
        ["SupOnly", "50.0", "40.0", "-", "12"],
        ["INT8", "60.0", "50.0", "57.2", "100"],
    ]


@pytest.mark.slow
def test_the_whole_job_and_its_continuation(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    result = run_demo(folder, quick=True)
    assert [row.model for row in result.rows][:3] == ["SupOnly", "semi-supervised", "edge model"]
    assert result.verdict in ("published", "rejected") and result.reason
    assert result.logged == len(list(iter_records(folder / "device" / "log"))) > 0
    page = result.report.read_text()
    assert page.count("<img") > 20 and "entropy" in page and "http" not in page
    assert (folder / "device" / "autumn.mp4").stat().st_size > 1000

    again = run_demo(folder, quick=True)  # nothing is left to do
    assert again == result

    state = json.loads((folder / "demo.json").read_text())
    for step in ("after", "report"):
        del state[step]
    (folder / "demo.json").write_text(json.dumps(state))
    result.report.unlink()
    continued = run_demo(folder, quick=True)
    assert [replace(row, fps=0) for row in continued.rows] == [
        replace(row, fps=0) for row in result.rows
    ]
    assert continued.report.exists()
