"""What a training leaves for people: its lines of results, its pictures, and its page."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.errors import TrainError
from edgeseg.imaging.array_types import IGNORE, Image
from edgeseg.imaging.mask_png import read_mask
from edgeseg.progress import NullReporter
from edgeseg.site import Site
from edgeseg.tracking.tensorboard_tracker import TensorBoardTracker
from edgeseg.training.reporting import run_record
from edgeseg.training.reporting.val_pictures import ValPictures
from edgeseg.training.run_folder import RunResult
from edgeseg.training.train import train
from edgeseg.training.trainer import Trainer
from tests.helpers.methods import config
from tests.helpers.sites import TINY, make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A tiny site whose val frames do not show the class c2."""
    site = make_site(tmp_path_factory.mktemp("site"))
    for frame in site.frames("val"):
        assert frame.mask is not None
        mask = read_mask(site.path(frame.mask)).copy()
        mask[mask == 2] = IGNORE
        cv2.imwrite(str(site.path(frame.mask)), mask)
    return site


@pytest.fixture(scope="module")
def run(site: Site) -> RunResult:
    settings = config(method="cutmix_mt", steps=4, eval_every=2, propagation=False)
    return train(site, settings, site.run_folder("train", resume=False))


def test_each_evaluation_has_rates_losses_and_the_classes_that_val_shows(run: RunResult) -> None:
    with (run.path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    for row in rows:
        assert float(row["learning_rate/decoder"]) > float(row["learning_rate/encoder"]) > 0
        assert float(row["loss"]) > 0 and float(row["supervised"]) > 0
        classes = [float(row["iou/c0"]), float(row["iou/c1"])]
        assert "iou/c2" not in row  # which val does not show
        assert float(row["miou_ema"]) == pytest.approx(np.mean(classes), abs=1e-3)
    assert run.metrics["last"]["ema"]["per_class"]["c2"] is None
    assert 0 <= run.metrics["calibration_error_untempered"] <= 100


def decoded(data: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def test_tensorboard_has_them_with_the_same_frames_each_time(run: RunResult) -> None:
    events = EventAccumulator(str(run.path / "tensorboard"), {"scalars": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    assert {"learning_rate/encoder", "loss", "iou/c1", "miou_ema"} <= set(tags["scalars"])
    assert {"shipped/miou", "shipped/calibration_error_untempered"} <= set(tags["scalars"])
    assert set(tags["images"]) == {"val/confusion", *(f"val/frame {n}" for n in (1, 2, 3))}
    for tag in tags["images"]:
        assert [event.step for event in events.Images(tag)] == [2, 4]
    first, last = events.Images("val/frame 1")
    one, other = (decoded(event.encoded_image_string) for event in (first, last))
    assert one.shape == (64, 4 * 64, 3)
    assert (one[:, : 2 * 64] == other[:, : 2 * 64]).all()  # image and truth
    assert (one[:, 2 * 64 :] != other[:, 2 * 64 :]).any()  # prediction and entropy


def test_the_page_tells_what_is_taken_for_what_and_marks_absent_classes(run: RunResult) -> None:
    page = (run.path / "report.html").read_text()
    assert "not in val" in page and "no frame here shows it" in page
    assert "share of right pixels over confidence" in page
    assert f"{run.metrics['miou']:.1f}" in page and "http" not in page.replace("http-equiv", "")
    assert (run.path / "val.png").is_file()


def test_a_resumed_run_may_be_watched_in_another_way_but_not_be_another_one(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(method="suponly", steps=2, eval_every=2, checkpoint_every=1)
    with monkeypatch.context() as broken:
        broken.setattr(Trainer, "evaluate", _break_off)
        with pytest.raises(KeyboardInterrupt):
            train(site, settings, tmp_path / "run")
    saved = (tmp_path / "run" / "config.toml").read_text()
    (tmp_path / "run" / "config.toml").write_text(
        saved.replace("trackers = []", 'trackers = ["mlflow"]')
    )
    assert saved != (tmp_path / "run" / "config.toml").read_text()
    other = settings.model_copy(update={"seed": 7})
    with pytest.raises(TrainError, match="begun with another configuration"):
        train(site, other, tmp_path / "run", resume=True)
    resumed = train(site, settings, tmp_path / "run", resume=True)
    assert resumed.metrics["last"]["step"] == 2


class Told(NullReporter):
    """A progress reporter that keeps bars and what is said."""

    def __init__(self) -> None:
        self.bars: list[str] = []
        self.said: list[str] = []

    def start(self, title: str, total: int | None) -> None:
        self.bars.append(title)

    def say(self, message: str) -> None:
        self.said.append(message)


def test_a_fault_in_pictures_and_page_is_a_note_of_a_finished_run(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object, **__: object) -> None:
        raise ValueError("cannot draw")

    monkeypatch.setattr(run_record, "write_run_page", fault)
    monkeypatch.setattr(ValPictures, "of_evaluation", fault)
    monkeypatch.setattr(TensorBoardTracker, "log", fault)
    told = Told()
    settings = config(method="suponly", steps=2, eval_every=2)
    run = train(site, settings, tmp_path / "run", report=told)
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written == json.loads(json.dumps(run.metrics)) and written["miou"] == run.miou
    assert "calibration_error_untempered" in written
    faults = [note for note in told.said if "cannot draw" in note]
    assert [words in note for words, note in zip(("pictures", "TensorBoard", "page"), faults)] == [
        True
    ] * 3
    assert told.bars[-1] == "looking at val run"


def test_a_run_that_is_killed_while_its_page_is_made_is_finished(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(method="suponly", steps=2, eval_every=2)
    monkeypatch.setattr(run_record, "count_reliability", _break_off)
    with pytest.raises(KeyboardInterrupt):
        train(site, settings, tmp_path / "run")
    again = train(site, settings, tmp_path / "run", resume=True)  # nothing is left to do
    assert again.miou == json.loads((tmp_path / "run" / "metrics.json").read_text())["miou"]


def _break_off(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_shares_of_a_method_are_not_drawn_as_losses(site: Site, tmp_path: Path) -> None:
    settings = config(method="s4l", steps=2, eval_every=2)
    page = (train(site, settings, tmp_path / "run").path / "report.html").read_text()
    losses = page.index("loss and its parts")
    assert page.index("supervised") < losses < page.index("upright")


def test_a_missing_tracker_is_refused_before_anything_is_left_behind(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.root)
    monkeypatch.setattr("edgeseg.tracking.run_trackers.find_spec", lambda name: None)
    before = sorted((site.root / "runs").rglob("*"))
    options = [f"--set=train.{key}={json.dumps(value)}" for key, value in TINY.items()]
    done = CliRunner().invoke(app, ["train", "--tracker", "wandb", *options])
    assert done.exit_code == 1 and "take wandb out of trackers" in done.output
    assert sorted((site.root / "runs").rglob("*")) == before
    done = CliRunner().invoke(app, ["compare", "--methods", "suponly", "--tracker", "mlflow"])
    assert done.exit_code == 1 and "mlflow" in done.output
    done = CliRunner().invoke(app, ["train", "--tracker", "clearml"])
    assert done.exit_code == 1 and "take one of mlflow, wandb" in done.output
    assert sorted((site.root / "runs").rglob("*")) == before
