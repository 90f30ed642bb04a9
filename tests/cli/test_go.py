"""`edgeseg go`: one command from footage to a bundle, which goes on where it stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import pytest
from typer.testing import CliRunner, Result

from edgeseg.cli.app import app
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.site import Site
from tests.helpers.exporting import picture

CLASSES = "sky,water,bank"
COMMON = (
    'encoder = "mobilenetv2_035"\nweights = "none"\nsteps = 2\nbatch = 2\nbatch_unlabelled = 2\n'
)
QUICK = {
    "train": COMMON,
    "distill": COMMON,
    "export": "max_drop = 100.0\nmax_class_drop = 100.0\nmin_speedup = 0.0\n"
    "calibration_frames = 4\n",
}


def go(*words: object) -> Result:
    return CliRunner().invoke(app, ["go", *map(str, words)])


def save_pictures(folder: Path, numbers: range, *, masks: bool) -> None:
    for name in ("images", "masks")[: 1 + masks]:
        (folder / name).mkdir(parents=True)
    for number in numbers:
        image, mask = picture(number)
        cv2.imwrite(str(folder / "images" / f"{number:03}.png"), image[..., ::-1])
        if masks:
            cv2.imwrite(str(folder / "masks" / f"{number:03}.png"), mask)


def make_quick(site: Path) -> None:
    """Set what makes every step of the site short."""
    text = (site / "edgeseg.toml").read_text()
    for table, lines in QUICK.items():
        text = text.replace(f"[{table}]\n", f"[{table}]\n{lines}")
    (site / "edgeseg.toml").write_text(re.sub(r"(?m)^imgsz = .*$", "imgsz = [64, 96]", text))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_pictures(tmp_path / "footage", range(8), masks=False)
    save_pictures(tmp_path / "labels", range(100, 116), masks=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_command_goes_all_the_way_and_on_where_it_stopped(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = go("river", "footage/images", "--classes", "sky, water,bank")
    assert begun.exit_code == 1
    assert "0 frames are labelled for training" in begun.output and "edgeseg label" in begun.output
    site = Site.open(work / "river")
    assert site.config.class_names == ("sky", "water", "bank")
    frames = len(site.frames("unlabelled"))
    assert frames >= 4
    make_quick(work / "river")

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(work)
    labels = ["--labels", work / "labels" / "images", work / "labels" / "masks"]
    save_pictures(work / "few", range(200, 201), masks=True)
    few = go("river", "--labels", work / "few" / "images", work / "few" / "masks")
    assert few.exit_code == 1 and "name masks with --labels" in few.output
    monkeypatch.chdir(work)
    with monkeypatch.context() as patch:
        patch.setattr("edgeseg.training.distill.distill", interrupt)
        stopped = go("river", "footage/images", *labels)
    assert stopped.exit_code == 130, stopped.output
    trained = site.root / "runs" / "train" / "exp1" / "metrics.json"
    when = trained.stat().st_mtime_ns
    assert not site.has_finished_run("distill")

    monkeypatch.chdir(work)
    done = go("river", "footage/images", *labels)
    assert done.exit_code == 0, done.output
    assert trained.stat().st_mtime_ns == when
    assert len(site.frames("unlabelled")) == frames  # nothing is added twice
    bundle = site.current_bundle.resolve()
    assert (bundle / "model.int8-cpu.onnx").exists() or list(bundle.glob("*int8*"))
    assert "edgeseg infer --source" in done.output

    monkeypatch.chdir(work / "river")
    runs = site.runs("train") + site.runs("distill")
    again = go(".", "--student", "fast")
    assert again.exit_code == 0 and site.current_bundle.resolve() == bundle
    assert site.runs("train") + site.runs("distill") == runs
    assert "an edge model was begun before" in again.output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["new"], "name videos or pictures to make it from"),
        (["new", "footage/images"], "name them with --classes"),
        (["new", "footage/images", "--classes", " , "], "name them with --classes"),
        (["new", "nowhere", "--classes", "a,b"], "nowhere"),
        (["new", "rtsp://camera/1", "--classes", "a,b"], "record some of it"),
    ],
)
def test_what_it_cannot_know_is_asked_for(words: list[str], text: str, work: Path) -> None:
    result = go(*words)
    assert result.exit_code == 1 and text in " ".join(result.output.split())
    assert not (work / "new" / "frames.jsonl").exists()


def test_footage_that_was_cut_off_is_read_to_its_end(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = go("whole", "footage/images", "--classes", CLASSES)
    assert whole.exit_code == 1  # for want of labels
    monkeypatch.chdir(work)
    with monkeypatch.context() as patch:
        patch.setattr("edgeseg.cli.site.add.footage", add_some)
        assert go("cut", "footage/images", "--classes", CLASSES).exit_code == 130
    monkeypatch.chdir(work)
    assert len(Site.open(work / "cut").frames()) == 1
    go("cut", "footage/images")
    assert len(Site.open(work / "cut").frames()) == len(Site.open(work / "whole").frames())


def add_some(folders: list[str]) -> None:
    """Stand in for `edgeseg add footage` that is stopped after a picture."""
    add_footage(Site.open(), [min(Path(folders[0]).iterdir())])
    raise KeyboardInterrupt


def test_a_site_keeps_its_classes(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go("river", "footage/images", "--classes", CLASSES)
    monkeypatch.chdir(work)
    other = go("river", "footage/images", "--classes", "road,car")
    assert other.exit_code == 1 and "is a site with the classes sky, water, bank" in other.output
