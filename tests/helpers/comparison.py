"""Invented figures of a comparison, and stand-ins for the process of a run. Imports no torch."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from edgeseg.atomic_files import write_json
from edgeseg.compare.results import ComparedRun, MethodResult
from edgeseg.compare.worker import TrainingJob, end_with_parent, set_environment
from edgeseg.config import TrainConfig, validate_config
from tests.helpers.sites import TINY as SITE_TINY

TINY = SITE_TINY | {"checkpoint_every": 1}
SET_FLAGS = [
    part for key, value in TINY.items() for part in ("--set", f"train.{key}={json.dumps(value)}")
]


def tiny_config(**changes: object) -> TrainConfig:
    """The settings of a run of a few steps."""
    return validate_config(TrainConfig, TINY | changes, "test")


def method_result(
    method: str, values: Sequence[float], seconds: float = 1.0, failed: dict[int, str] | None = None
) -> MethodResult:
    """A method whose runs ended with the mIoU `values`."""
    runs = [
        ComparedRun(
            path=Path(f"{method}-{seed}"),
            method=method,
            seed=seed,
            last=value,
            best=value,
            best_step=4,
            per_class={"c0": value, "c1": None},
            seconds_per_step=seconds,
            memory=10**9,
            on_gpu=False,
            kept=None,
            pseudo={},
            curve=((2.0, value / 2), (4.0, value)),
        )
        for seed, value in enumerate(values)
    ]
    return MethodResult(method, tuple(runs), failed or {})


def write_finished_run(job: TrainingJob, miou: float) -> None:
    """Leave what a finished run leaves."""
    last = {
        "step": job.config.steps,
        "ema": {"miou": miou, "per_class": {"c0": miou, "c1": miou, "c2": miou}},
    }
    best = {"step": job.config.steps, "miou": miou}
    write_json(
        job.out / "metrics.json",
        {"miou": miou, "best": best, "last": last, "seconds_per_step": 0.1},
    )


def play_by_seed(job: TrainingJob, pipe: Connection) -> None:
    """Stand in for `run_job`: seed 0 finishes, seed 1 is killed, 2 exits with a code, 3 says why, 4
    never ends.
    """
    end_with_parent()
    job.out.mkdir(parents=True, exist_ok=True)
    pipe.send(("start", "train", 9))
    pipe.send(("advance", 1, "mIoU 1.0"))
    if job.config.seed == 0:
        pipe.send(("advance", 8, ""))
        write_finished_run(job, 50.0)
    elif job.config.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    elif job.config.seed == 2:
        sys.exit(3)
    elif job.config.seed == 3:
        pipe.send(("failed", "frame f1 is damaged"))
        sys.exit(1)
    else:
        (job.out / "pid").write_text(str(os.getpid()))
        time.sleep(20)


def note_visible_gpus(job: TrainingJob, pipe: Connection) -> None:
    """Stand in for `run_job`: note which GPUs torch would see, and finish."""
    set_environment(job)
    job.out.mkdir(parents=True)
    (job.out / "gpus").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    pipe.send(("advance", job.config.steps, ""))


def is_gone(process: int) -> bool:
    """Whether no process of this number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False
