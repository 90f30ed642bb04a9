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
from tests.helpers.sites import TINY as SITE_TINY

TINY = SITE_TINY | {"checkpoint_every": 1}
SET = [
    part for key, value in TINY.items() for part in ("--set", f"train.{key}={json.dumps(value)}")
]


def standing(
    method: str, values: Sequence[float], seconds: float = 1.0, failed: dict[int, str] | None = None
) -> MethodResult:
    """A method whose runs ended with the mIoU `values`."""
    runs = [
        ComparedRun(
            Path(f"{method}-{seed}"),
            method,
            seed,
            value,
            value,
            4,
            {"c0": value, "c1": None},
            seconds,
            10**9,
            False,
            None,
            {},
            ((2.0, value / 2), (4.0, value)),
        )
        for seed, value in enumerate(values)
    ]
    return MethodResult(method, tuple(runs), failed or {})


def finish(job: TrainingJob, miou: float) -> None:
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


def play(job: TrainingJob, line: Connection) -> None:
    """In place of `work`: seed 0 finishes, seed 1 is killed, 2 exits with a code, 3 says why, 4
    never ends.
    """
    end_with_parent()
    job.out.mkdir(parents=True, exist_ok=True)
    line.send(("start", "train", 9))
    line.send(("advance", 1, "mIoU 1.0"))
    if job.config.seed == 0:
        line.send(("advance", 8, ""))
        finish(job, 50.0)
    elif job.config.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    elif job.config.seed == 2:
        sys.exit(3)
    elif job.config.seed == 3:
        line.send(("failed", "frame f1 is damaged"))
        sys.exit(1)
    else:
        (job.out / "pid").write_text(str(os.getpid()))
        time.sleep(20)


def look(job: TrainingJob, line: Connection) -> None:
    """In place of `work`: note which GPUs torch would see, and finish."""
    set_environment(job)
    job.out.mkdir(parents=True)
    (job.out / "gpus").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    line.send(("advance", job.config.steps, ""))
