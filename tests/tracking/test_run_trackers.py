"""Which trackers a run has; the real libraries, where they are installed."""

from __future__ import annotations

import json
import sqlite3
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import ConfigError
from edgeseg.tracking import TrackedRun, background_tracker, open_trackers, require_trackers
from edgeseg.tracking.mlflow_tracker import unique_keys
from edgeseg.tracking.wandb_tracker import project_name

PATIENCE = 200.0  # seconds: libraries are read from a disk that others use
PICTURES = {"val/frame 1": np.full((8, 12, 3), 90, np.uint8)}
CONFIG = {"steps": 10, "imgsz": [64, 96], "u2pl": {"alpha": 0.2}}


def tracked_run(root: Path, folder: str = "runs/train/exp1") -> TrackedRun:
    (root / folder).mkdir(parents=True, exist_ok=True)
    return TrackedRun(root, "river", root / folder, CONFIG)


def tensorboard_figures(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each figure in the event files of a run, and the steps of its pictures."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0, "images": 0})
    events.Reload()
    found = {
        tag: [(event.step, round(event.value, 4)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    for tag in events.Tags()["images"]:
        found[tag] = [(event.step, float(event.width)) for event in events.Images(tag)]
    return found


def test_tensorboard_has_figures_and_pictures_and_a_resumed_run_replaces_what_it_repeats(
    tmp_path: Path,
) -> None:
    run = tracked_run(tmp_path)
    with open_trackers([], run) as trackers:
        trackers.log(10, {"loss": 1.0, "iou/車 1": 50.0}, PICTURES)
        trackers.log(20, {"loss": 0.5})
    with open_trackers([], run) as trackers:
        trackers.log(20, {"loss": 0.25}, PICTURES)
    found = tensorboard_figures(run.folder)
    assert found["loss"] == [(10, 1.0), (20, 0.25)]
    assert found["val/frame 1"] == [(10, 12.0), (20, 12.0)]
    assert len(found) == 3


def test_a_run_is_named_by_its_place_in_the_site(tmp_path: Path) -> None:
    places = {
        "runs/train/exp3": ("train/exp3", "train"),
        "runs/compare/exp1/suponly-0": ("compare/exp1/suponly-0", "compare/exp1"),
        "rounds/0002/distill": ("rounds/0002/distill", "rounds/0002"),
    }
    for folder, (name, group) in places.items():
        run = tracked_run(tmp_path, folder)
        assert (run.name, run.group) == (name, group)
    outside = TrackedRun(tmp_path / "site", "river", tmp_path / "caf\udce9", {})
    assert (outside.name, outside.group) == ("caf?", "river")
    assert run.settings() == {"steps": 10, "imgsz": [64, 96], "u2pl.alpha": 0.2}


def test_a_missing_library_is_refused_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wandb").mkdir()  # W&B leaves such a folder behind; it is no library
    monkeypatch.syspath_prepend(str(tmp_path))
    real = find_spec

    def without(name: str) -> object:
        found = real(name)
        return None if found is not None and found.origin and name in ("mlflow", "wandb") else found

    monkeypatch.setattr("edgeseg.tracking.run_trackers.find_spec", without)
    require_trackers([])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match=r"mlflow.*pip install.*mlflow.*take mlflow out"):
        require_trackers(["mlflow"])
    with pytest.raises(ConfigError, match="pip install"):
        require_trackers(["wandb"])


def test_a_store_in_a_database_needs_more_than_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "edgeseg.tracking.run_trackers._is_installed", lambda module: module == "mlflow"
    )
    for uri in ("https://mlflow.example", "http://10.0.0.2:5000", "databricks"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        require_trackers(["mlflow"])
    for uri in ("sqlite:///shared/mlflow.db", "/shared/mlruns", "postgresql://db/mlflow", ""):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(ConfigError, match="sqlalchemy, alembic"):
            require_trackers(["mlflow"])


def test_names_of_sites_become_names_that_wandb_takes() -> None:
    assert project_name("yard: north/south #1? 5%\\") == "yard_ north_south _1_ 5__"
    assert project_name("river") == "river" and len(project_name("a" * 200)) == 128


def test_names_of_classes_become_names_that_mlflow_takes() -> None:
    figures = {"loss": 1.0, "iou/car|van": 2.0, "iou/car_van": 3.0, "iou/..": 4.0, "iou/a/b": 5.0}
    assert unique_keys(figures) == {
        "loss": 1.0,
        "iou/car_van": 2.0,
        "iou/car_van 2": 3.0,
        "iou/_": 4.0,
        "iou/a_b": 5.0,
    }


def test_mlflow_keeps_a_run_in_the_site_and_goes_on_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="the extra mlflow is not installed")
    monkeypatch.setattr(background_tracker, "BREAKING_OFF_SECONDS", PATIENCE)
    monkeypatch.setattr(background_tracker, "CLOSING_SECONDS", PATIENCE)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    run = tracked_run(tmp_path)
    with pytest.raises(RuntimeError), open_trackers(["mlflow"], run) as trackers:
        trackers.log(10, {"loss": 1.0, "iou/car|van": 50.0}, PICTURES)
        raise RuntimeError
    known = json.loads((run.folder / "mlflow.json").read_text())["run"]
    with open_trackers(["mlflow"], run) as trackers:
        trackers.log(20, {"loss": 0.5}, PICTURES)
    assert json.loads((run.folder / "mlflow.json").read_text())["run"] == known
    with sqlite3.connect(tmp_path / "tracking" / "mlflow.db") as store:
        assert store.execute("select name, status from runs").fetchall() == [
            ("train/exp1", "FINISHED")
        ]
        figures = store.execute("select key, value, step from metrics order by step, key")
        assert figures.fetchall() == [
            ("iou/car_van", 50.0, 10),
            ("loss", 1.0, 10),
            ("loss", 0.5, 20),
        ]
        settings = dict(store.execute("select key, value from params").fetchall())
        assert settings == {"steps": "10", "imgsz": "[64, 96]", "u2pl.alpha": "0.2"}
    pictures = list((tmp_path / "tracking" / "artifacts").rglob("*.png"))
    assert len(pictures) == 2

    # The site moves: pictures must not go back to where it was.
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "tracking").rename(moved / "tracking")
    (tmp_path / "runs").rename(moved / "runs")
    resumed = tracked_run(moved)
    with open_trackers(["mlflow"], resumed) as trackers:
        trackers.log(30, {"loss": 0.4}, PICTURES)
    assert json.loads((resumed.folder / "mlflow.json").read_text())["run"] != known
    assert not (tmp_path / "tracking").exists()
    again = tracked_run(moved, "runs/train/exp2")
    with open_trackers(["mlflow"], again) as trackers:
        trackers.log(1, {"loss": 1.0}, PICTURES)
    assert not (tmp_path / "tracking").exists()
    assert len(list((moved / "tracking" / "artifacts").rglob("*.png"))) == 4


def test_wandb_writes_files_in_the_site_and_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setattr(background_tracker, "CLOSING_SECONDS", PATIENCE)
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    run = tracked_run(tmp_path)
    for step in (10, 20):
        with open_trackers(["wandb"], run) as trackers:
            trackers.log(step, {"loss": 1.0 / step, "iou/car|van": 50.0}, PICTURES)
    identity = json.loads((run.folder / "wandb.json").read_text())["run"]
    files = sorted((tmp_path / "tracking" / "wandb").glob(f"offline-run-*/run-{identity}.wandb"))
    assert files
    written = b"".join(file.read_bytes() for file in files)
    assert b"iou/car|van" in written and b"train/exp1" in written
    assert list((tmp_path / "tracking" / "wandb").rglob("frame 1*.png"))
