"""Several processes that share a batch learn what one would; the command line starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edgeseg.errors import TrainError
from edgeseg.loop import shared
from tests.deviceskit import NAMES, steps, together
from tests.sitekit import TINY, make_site

Found = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    return together(2, tmp_path_factory.mktemp("meet"))


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_have_the_loss_gradient_and_statistics_of_one(name: str, two: list[Found]) -> None:
    one = steps(name, slice(None))
    for what in ("loss", "gradient"):
        mean = sum(each[name][what] for each in two) / 2
        torch.testing.assert_close(mean, one[what], atol=1e-5, rtol=1e-4)
    assert float(one["loss"]) > 0.1 and float(one["gradient"].abs().max()) > 1e-3
    for each in two:
        torch.testing.assert_close(each[name]["statistics"], one["statistics"], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", ["u2pl", "stpp"])
def test_devices_train_one_run_together(tmp_path: Path, method: str) -> None:
    site = make_site(tmp_path)
    settings = {**TINY, "method": method, "steps": 12, "batch": 4, "batch_unlabelled": 4, "eval_every": 4}
    command = [sys.executable, "-m", "edgeseg.cli.app", "train", "--devices", "2"]
    for key, value in settings.items():
        command += ["--set", f"train.{key}={value!r}".replace("'", '"')]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Next: edgeseg distill" in done.stderr
    assert (site.root / "runs" / "train" / "exp1" / "metrics.json").exists()
    if method == "u2pl":  # one is enough: the loop that resumes is the same
        again = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert again.returncode == 0, again.stderr[-3000:]


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    assert shared(8, 4) == 2 and shared(3, 1) == 3
    for batch, devices in ((4, 3), (2, 2)):
        with pytest.raises(TrainError, match=f"shared by {devices} devices"):
            shared(batch, devices)
