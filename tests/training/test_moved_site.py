"""A site that is moved, renamed or reached through a link goes on with its unfinished runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.config import DistillConfig, validate_config
from edgeseg.errors import TrainError
from edgeseg.site import Site
from edgeseg.training.distill import distill
from edgeseg.training.run_folder import remember_origins
from edgeseg.training.train import train
from tests.helpers.methods import config
from tests.helpers.sites import TINY, Messages, make_site

SETTINGS = validate_config(
    DistillConfig, {key: value for key, value in TINY.items() if key != "rep_dim"}, "test"
)


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with a teacher, and a distillation that was cut off in its middle."""
    site = make_site(tmp_path_factory.mktemp("before") / "site")
    teacher = site.run_folder("train", resume=False)
    train(site, config(method="suponly", steps=2, eval_every=2), teacher)
    run = site.run_folder("distill", resume=False)
    distill(site, SETTINGS, teacher, run, init=None)
    (run / "metrics.json").unlink()
    for path in (run / "checkpoint").glob("step-00000004*"):
        path.unlink()
    return site


@pytest.fixture
def moved(unfinished: Site, tmp_path: Path) -> Site:
    """The same site under another name and in another place; where it was there is nothing."""
    copied = tmp_path / "an other [site]"
    shutil.copytree(unfinished.root, copied, symlinks=True)
    for path in copied.rglob("origin.json"):
        path.write_text(path.read_text().replace(str(unfinished.root), "/gone/site"))
    return Site.open(copied)


def origin(site: Site) -> Path:
    return site.root / "runs" / "distill" / "exp1" / "origin.json"


def test_runs_are_remembered_relative_to_the_site(unfinished: Site) -> None:
    assert json.loads(origin(unfinished).read_bytes()) == {
        "teacher": "runs/train/exp1",
        "init": None,
    }


@pytest.mark.parametrize("stored", ["runs/train/exp1", "/gone/site/runs/train/exp1"])
def test_distill_resumes_after_a_move(
    stored: str, moved: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is what earlier versions stored."""
    origin(moved).write_text(json.dumps({"teacher": stored, "init": None}))
    monkeypatch.chdir(moved.root)
    for named in ([], ["runs/train/exp1"], [str(moved.root / "runs" / "train" / "exp1")]):
        done = CliRunner().invoke(app, ["distill", *named, "--resume"])
        assert done.exit_code == 0, done.output
        assert ("is gone; taken instead" in done.stderr) == stored.startswith("/gone")
    other = CliRunner().invoke(app, ["distill", "runs/distill/exp1", "--resume"])
    assert other.exit_code == 1 and "begun with teacher" in other.stderr


def test_a_site_reached_through_a_link_resumes(
    moved: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(moved.root)
    monkeypatch.chdir(tmp_path / "link")
    done = CliRunner().invoke(app, ["distill", "../link/runs/train/exp1", "--resume"])
    assert done.exit_code == 0, done.output


def test_what_a_run_started_from_is_kept_apart_by_role(tmp_path: Path) -> None:
    root, out, messages = tmp_path / "site", tmp_path / "site" / "run", Messages()
    for name in ("a", "b", "run"):
        (root / name).mkdir(parents=True)
    given = {"teacher": root / "a", "init": None}
    assert remember_origins(root, out, given, resume=False) == {"teacher": root / "a", "init": None}
    recalled = remember_origins(
        root, out, {"teacher": None, "init": None}, resume=True, report=messages
    )
    assert recalled == {"teacher": root / "a", "init": None} and not messages.lines
    with pytest.raises(TrainError, match="begun with init None"):
        remember_origins(root, out, {"teacher": None, "init": root / "b"}, resume=True)


def test_weights_inside_a_moved_site_are_found(
    unfinished: Site, moved: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration of a run holds the path as it was; a resumed run reads the file again."""
    from edgeseg.models import build_network
    from edgeseg.training import initial_weights

    used: list[str] = []

    def build(*arguments: object) -> object:
        used.append(str(arguments[3]))
        return build_network("deeplabv3plus", "mobilenetv2_035", 3)

    monkeypatch.setattr(initial_weights, "build_network", build)
    (moved.root / "my.safetensors").touch()
    settings, new_run = config(weights="/gone/site/my.safetensors"), moved.root / "new"
    initial_weights.build_initial_network(settings, 3, None, root=moved.root, run=new_run)
    relative = config(weights="my.safetensors")
    initial_weights.build_initial_network(relative, 3, None, root=moved.root, run=new_run)
    elsewhere = config(weights="/gone/other.safetensors")
    initial_weights.build_initial_network(elsewhere, 3, None, root=moved.root, run=new_run)
    inside = str(moved.root / "my.safetensors")
    assert used == [inside, inside, "/gone/other.safetensors"]


def test_a_run_that_begins_from_another_remembers_it(moved: Site) -> None:
    run = moved.run_folder("train", resume=False)
    settings = config(method="suponly", steps=2, eval_every=2)
    train(moved, settings, run, init=moved.root / "runs" / "train" / "exp1")
    assert json.loads((run / "origin.json").read_bytes()) == {"init": "runs/train/exp1"}
