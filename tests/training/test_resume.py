"""A killed run resumes bit for bit, and only as it was begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edgeseg.cli.app import app
from edgeseg.errors import TrainError
from edgeseg.site import Site
from edgeseg.training.train import train
from tests.helpers.methods import config, weights
from tests.helpers.sites import TINY, make_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))


def newest_checkpoint(run: Path) -> str:
    """Its file name, or nothing."""
    return max((path.name for path in (run / "checkpoint").glob("step*")), default="")


def test_kill_9_at_random_moments_then_resume_is_bit_exact(site: Site, tmp_path: Path) -> None:
    settings = ["method=u2pl", "steps=8", "eval_every=4", "checkpoint_every=1"]
    whole = train(
        site, config(method="u2pl", steps=8, eval_every=4, checkpoint_every=1), tmp_path / "whole"
    )
    overrides = [f"{key}={json.dumps(value)}" for key, value in TINY.items()] + settings
    command = [sys.executable, "-m", "edgeseg.cli.app", "train", "--resume"]
    for text in overrides:
        command += ["--set", f"train.{text}"]
    run = site.root / "runs" / "train" / "exp1"
    run.mkdir(parents=True)
    rng = np.random.default_rng(1)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for _ in range(3):
        before = newest_checkpoint(run)
        process = subprocess.Popen(
            command, cwd=site.root, env=environment, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if newest_checkpoint(run) != before:  # it has got further
                break
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0, 0.4)))
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = subprocess.run(
        command, cwd=site.root, env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert "Next: edgeseg distill" in finished.stderr
    uninterrupted, resumed = weights(whole.path), weights(run)
    assert all(
        torch.allclose(tensor.float(), resumed[name].float(), atol=1e-4)
        for name, tensor in uninterrupted.items()
    )


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(site: Site, tmp_path: Path) -> None:
    settings = config(steps=6, method="suponly")
    whole = train(site, settings, tmp_path / "run")
    (whole.path / "metrics.json").unlink()
    newest = max((whole.path / "checkpoint").glob("step*"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    before = weights(whole.path)
    again = train(site, settings, whole.path, resume=True)
    assert not newest.exists() or newest.read_bytes() != data
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(again.path).items())


@pytest.mark.parametrize(
    ("change", "resume", "text"),
    [
        ({}, False, "already holds a run"),
        ({"steps": 9}, True, r"begun with another configuration .*steps"),
    ],
)
def test_a_folder_with_another_run_is_refused(
    site: Site, tmp_path: Path, change: dict[str, object], resume: bool, text: str
) -> None:
    train(site, config(method="suponly", steps=1), tmp_path / "run")
    with pytest.raises(TrainError, match=text):
        train(
            site,
            config(method="suponly", **{"steps": 1, **change}),
            tmp_path / "run",
            resume=resume,
        )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--set", 'train.encoder="nothing_of_the_kind"'], "nothing_of_the_kind"),
        (["--set", "train.freeze_encoder=true"], "random numbers"),
    ],
)
def test_a_refused_run_is_not_the_one_that_resume_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], said: str
) -> None:
    root = make_site(tmp_path).root
    monkeypatch.chdir(root)
    sets = [f"--set=train.{key}={json.dumps(value)}" for key, value in TINY.items()]
    assert CliRunner().invoke(app, ["train", "--method", "suponly", *sets]).exit_code == 0
    refused = CliRunner().invoke(app, ["train", *sets, *flags])
    assert refused.exit_code == 1 and said in " ".join(refused.stderr.split())
    assert [path.name for path in (root / "runs" / "train").iterdir()] == ["exp1"]
    assert "exp1" in CliRunner().invoke(app, ["train", "--resume"]).output
