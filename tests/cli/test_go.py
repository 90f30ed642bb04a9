"""`edgeseg go`: one command from footage to a bundle, which goes on where it stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import pytest
from typer.testing import CliRunner, Result

from edgeseg.cli.app import app
from edgeseg.site import Site
from tests.helpers.exporting import picture

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
    again = go(".")
    assert again.exit_code == 0 and site.current_bundle.resolve() == bundle
    assert (
        len(list((site.root / "runs" / "distill").iterdir()))
        == 1 + (site.root / "runs" / "distill" / "exp2").exists()
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["new"], "name videos or pictures to make it from"),
        (["new", "footage/images"], "name them with --classes"),
        (["new", "footage/images", "--classes", " , "], "name them with --classes"),
        (["new", "nowhere", "--classes", "a,b"], "nowhere"),
    ],
)
def test_what_it_cannot_know_is_asked_for(words: list[str], text: str, work: Path) -> None:
    result = go(*words)
    assert result.exit_code == 1 and text in " ".join(result.output.split())
    assert not (work / "new" / "frames.jsonl").exists()
