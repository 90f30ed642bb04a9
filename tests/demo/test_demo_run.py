"""The demo's site, its measuring, and the whole job with tiny settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.demo.demo_result import DemoResult, ModelResult
from edgeseg.demo.demo_runner import run_demo
from edgeseg.demo.demo_site import QUICK, label_autumn, make_site
from edgeseg.demo.html_page import result_table
from edgeseg.demo.measurement import measure_season, read_test_frames
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.runtime.framelog.reader import iter_records
from edgeseg.site import Site

TINY = replace(QUICK, footage=8, labelled=2, val=2, gate=2, gate_autumn=2, video=6, truth=2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("demo") / "site", TINY)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_the_site_has_its_splits_and_nothing_of_the_autumn(site: Site) -> None:
    sizes = {split: len(site.frames(split)) for split in ("labelled", "val", "gate")}
    assert sizes == {"labelled": 2, "val": 2, "gate": 2}
    assert 4 <= len(site.frames("unlabelled")) <= 8  # but for near-duplicates
    assert not any("autumn" in frame.source or "truth" in frame.source for frame in site.frames())
    assert (site.root / "card" / "autumn.mp4").stat().st_size > 1000


def test_making_it_again_changes_nothing(site: Site) -> None:
    before = _digests(site.root)
    make_site(site.root, TINY)
    assert _digests(site.root) == before


def test_a_cut_off_making_is_completed(tmp_path: Path, site: Site) -> None:
    folder = tmp_path / "again"
    (folder / "card" / ".labels.tmp").mkdir(parents=True)
    (folder / "edgeseg.toml").write_bytes((site.root / "edgeseg.toml").read_bytes())
    made = make_site(folder, TINY)
    assert {frame.id for frame in made.frames()} == {frame.id for frame in site.frames()}
    assert not list(folder.rglob(".*.tmp"))


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        make_site(tmp_path, TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_autumn_labels_judge_and_never_train(tmp_path: Path, site: Site) -> None:
    copy = make_site(tmp_path / "site", TINY)
    label_autumn(copy)
    new = {
        frame.id: frame for frame in copy.frames() if frame.id not in {f.id for f in site.frames()}
    }
    assert len(new) == 2 and all(frame.split == "gate" for frame in new.values())


def test_measuring_counts_what_is_right(site: Site) -> None:
    answers = [mask for _, mask in read_test_frames(site.root, "summer")]
    entropy = np.zeros((4, 4), np.float32)
    replies = iter(answers)

    def perfect(image: Image) -> tuple[Image, NDArray[np.float32]]:
        return next(replies), entropy

    def water(image: Image) -> tuple[Image, NDArray[np.float32]]:
        return np.ones(image.shape[:2], np.uint8), entropy

    assert measure_season(perfect, site.root, "summer", 5).miou == 100.0
    drowned = measure_season(water, site.root, "summer", 5)
    assert drowned.per_class[1] == pytest.approx(100 * np.mean(np.stack(answers) == 1), abs=0.01)
    assert drowned.miou == pytest.approx(drowned.per_class[1] / 5, abs=0.01)


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
