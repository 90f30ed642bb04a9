"""What the choice of val frames does to a comparison is told, and how many would settle it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.compare.comparison_folder import read_ceiling
from edgeseg.compare.frame_noise import explain_frames, frame_gain, frame_interval
from edgeseg.compare.result_table import closed_share, table_cells, table_header, table_row
from edgeseg.compare.results import COUNTS_FILE, MethodResult
from edgeseg.errors import ConfigError
from edgeseg.metrics import miou
from tests.helpers.comparison import method_result


def counted(folder: Path, method: str, hits: list[list[int]]) -> MethodResult:
    """A method of which each run had so many of 100 pixels right in each val frame."""
    counts = [[[[hit, 100 - hit], [0, 0]] for hit in of_run] for of_run in hits]
    result = method_result(method, [miou(np.sum(of_run, 0)) for of_run in counts])
    runs = []
    for run, of_run in zip(result.runs, counts):
        path = folder / run.path
        path.mkdir()
        np.save(path / COUNTS_FILE, np.array(of_run, np.int64))
        runs.append(replace(run, path=path))
    return replace(result, runs=tuple(runs))


def test_val_that_cannot_tell_two_methods_apart_is_told_with_the_labels_that_would(
    tmp_path: Path,
) -> None:
    floor = counted(tmp_path, "suponly", [[60, 70, 50, 65, 60, 55]])
    unsure = counted(tmp_path, "u2pl", [[90, 50, 70, 45, 80, 40], [88, 52, 68, 47, 78, 42]])
    sure = counted(tmp_path, "cutmix_mt", [[70, 81, 60, 76, 70, 64]])
    blocks = list(range(6))
    told = explain_frames([unsure, floor], "suponly", blocks)
    assert told is not None
    assert told.startswith("6 val frames cannot tell u2pl from suponly")
    assert "would tell 2 points" in told
    assert explain_frames([sure, floor], "cutmix_mt", blocks) is None
    gain = frame_gain(sure, floor, blocks)
    assert gain is not None and 0 < gain.low < gain.mean < gain.high
    assert explain_frames([floor], "suponly", blocks) is None
    assert explain_frames([method_result("u2pl", [1.0]), floor], "u2pl", blocks) is None


def test_the_table_has_the_interval_over_frames_and_the_way_to_the_ceiling(tmp_path: Path) -> None:
    floor = counted(tmp_path, "suponly", [[50, 40, 60, 50]])
    better = counted(tmp_path, "u2pl", [[58, 48, 68, 58]])
    row = table_row(better, floor, [], [0, 1, 2, 3], 60.0)
    assert row["low"] < row["miou"] < row["high"]
    assert row["closed_share"] == pytest.approx(0.8)
    assert closed_share(floor, floor, 60.0) is closed_share(better, floor, 40.0) is None
    heads = table_header([better, floor], 60.0)
    cells = table_cells([better, floor], [], [0, 1, 2, 3], 60.0)
    interval = frame_interval(better, [0, 1, 2, 3])
    assert interval is not None
    assert cells[0][heads.index("closed")] == "80 %" and cells[1][heads.index("closed")] == "-"
    assert cells[0][heads.index("± val")] == f"{(interval.high - interval.low) / 2:.1f}"
    assert all(len(line) == len(heads) for line in cells)
    failed = table_cells([method_result("ael", [], failed={0: "no"})], [], [], 60.0)
    assert len(failed[0]) == len(heads)
    assert "closed" not in table_header([better]) and len(table_cells([better], [])[0]) == 10


def test_a_ceiling_is_a_figure_a_run_or_a_comparison(tmp_path: Path) -> None:
    assert read_ceiling("64.8") == 64.8
    for name, metrics in (
        ("run", {"last": {"ema": {"miou": 61.5}}}),
        (
            "compare",
            {"methods": [{"method": "ael", "miou": 70}, {"method": "suponly", "miou": 62}]},
        ),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
    assert read_ceiling(str(tmp_path / "run")) == 61.5
    assert read_ceiling(str(tmp_path / "compare")) == 62
    for wrong in ("0", "120", str(tmp_path), "nan"):
        with pytest.raises(ConfigError, match="--ceiling"):
            read_ceiling(wrong)
