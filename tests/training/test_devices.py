"""Several processes that share a batch learn what one would; the command line starts them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from edgeseg.config import TrainConfig, validate_config
from edgeseg.errors import TrainError
from edgeseg.training.devices import BatchShares, share_batches
from tests.helpers.devices import NAMES, steps, together
from tests.helpers.sites import TINY, make_site

Found = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    return together(2, tmp_path_factory.mktemp("meet"))


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_have_the_loss_gradient_and_statistics_of_one(
    name: str, two: list[Found]
) -> None:
    one = steps(name, slice(None))
    for what in ("loss", "gradient"):
        mean = sum(each[name][what] for each in two) / 2
        torch.testing.assert_close(mean, one[what], atol=1e-5, rtol=1e-4)
    assert float(one["loss"]) > 0.1 and float(one["gradient"].abs().max()) > 1e-3
    for each in two:
        torch.testing.assert_close(
            each[name]["statistics"], one["statistics"], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("method", [pytest.param("u2pl", marks=pytest.mark.slow), "stpp"])
def test_devices_train_one_run_together(tmp_path: Path, method: str) -> None:
    site = make_site(tmp_path)
    settings = {
        **TINY,
        "method": method,
        "steps": 12,
        "batch": 8,
        "batch_unlabelled": 4,
        "eval_every": 4,
    }
    command = [sys.executable, "-m", "edgeseg.cli.app", "train", "--devices", "2"]
    command += ["--set", "train.accumulate=2"] if method == "u2pl" else ["--max-memory", "64GB"]
    for key, value in settings.items():
        command += ["--set", f"train.{key}={value!r}".replace("'", '"')]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Next: edgeseg distill" in done.stderr
    assert (site.root / "runs" / "train" / "exp1" / "metrics.json").exists()
    if method == "u2pl":  # one is enough: the loop that resumes is the same
        again = subprocess.run(
            [*command, "--resume"], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert again.returncode == 0, again.stderr[-3000:]


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "parts", "devices", "expected"),
    [
        (8, 8, 1, 4, (2, 2)),
        (3, 1, 1, 1, (3, 1)),
        (4, 4, 1, 3, "batch = 4 cannot be shared by 3 devices; make it a multiple of 6"),
        (2, 4, 1, 2, "batch = 2 cannot be shared by 2 devices"),
        (4, 2, 1, 2, "batch_unlabelled = 2 cannot be shared by 2 devices"),
        (8, 4, 2, 2, (4, 2)),
        (8, 8, 4, 4, "by 4 devices, each in accumulate = 4 parts; make it a multiple of 32"),
        (
            8,
            8,
            4,
            2,
            "batch = 8 cannot be shared by 2 devices, each in accumulate = 4",
        ),  # parts of a single frame
        (16, 4, 4, 2, "batch_unlabelled = 4 cannot be shared by 2 devices, each in accumulate = 4"),
    ],
)
def test_a_batch_is_shared_in_equal_parts_or_refused(
    labelled: int, unlabelled: int, parts: int, devices: int, expected: tuple[int, int] | str
) -> None:
    config = validate_config(
        TrainConfig,
        {"batch": labelled, "batch_unlabelled": unlabelled, "accumulate": parts},
        "the test",
    )
    if isinstance(expected, tuple):
        assert share_batches(config, devices) == BatchShares(*expected)
    else:
        with pytest.raises(TrainError, match=re.escape(expected)):
            share_batches(config, devices)


def test_without_footage_only_the_labelled_batch_is_shared() -> None:
    config = validate_config(TrainConfig, {"batch": 4, "batch_unlabelled": 1}, "the test")
    assert share_batches(config, 2, unlabelled=False).labelled == 2
