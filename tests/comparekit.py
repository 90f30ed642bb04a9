"""A tiny site to compare methods on, invented figures, and stand-ins for the process of a run. Imports no torch."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

from edgeseg.compare.figures import Run, Standing
from edgeseg.compare.worker import Job, end_with_parent
from edgeseg.durable import write_json
from edgeseg.site import Frame, Site, Split

TINY = {
    "encoder": "mobilenetv2_035", "weights": "none", "imgsz": [64, 64], "batch": 2, "batch_unlabelled": 2, "steps": 4,
    "eval_every": 2, "checkpoint_every": 1, "rep_dim": 16, "workers": 1, "precision": "32", "device": "cpu",
}  # fmt: skip
SET = [part for key, value in TINY.items() for part in ("--set", f"train.{key}={json.dumps(value)}")]
COLORS = [(40, 90, 40), (200, 60, 60), (60, 60, 220)]


def make_site(root: Path) -> Site:
    """Coloured rectangles of 64x64: four labelled frames, five unlabelled ones, three in val."""
    root.mkdir(parents=True, exist_ok=True)
    lines = [f'[[classes]]\nname = "c{i}"\ncolor = "#{r:02x}{g:02x}{b:02x}"\n' for i, (r, g, b) in enumerate(COLORS)]
    (root / "edgeseg.toml").write_text("".join(lines))
    rng = np.random.default_rng(0)
    splits: list[Split] = [*["labelled"] * 4, *["unlabelled"] * 5, *["val"] * 3]  # type: ignore[list-item]
    frames = []
    for number, split in enumerate(splits):
        mask = np.zeros((64, 64), np.uint8)
        for name in (1, 2):
            top, left = rng.integers(0, 36, 2)
            mask[top : top + 26, left : left + 26] = name
        image = np.asarray(COLORS, np.float32)[mask] + rng.normal(0, 12, (64, 64, 3))
        cv2.imwrite(str(root / f"{number}.png"), np.clip(image, 0, 255).astype(np.uint8)[..., ::-1])
        cv2.imwrite(str(root / f"{number}-mask.png"), mask)
        own = None if split == "unlabelled" else f"{number}-mask.png"
        frames.append(
            Frame(id=f"f{number}", camera="cam", time=float(number), source="s", split=split, image=f"{number}.png",
                  mask=own, height=64, width=64, hash="0" * 16, origin="footage" if own is None else "labels")
        )  # fmt: skip
    site = Site.open(root)
    site.save_frames(frames)
    return site


def standing(
    method: str, values: Sequence[float], seconds: float = 1.0, failed: dict[int, str] | None = None
) -> Standing:
    """A method whose runs ended with the mIoU `values`."""
    runs = [
        Run(Path(f"{method}-{seed}"), method, seed, value, value, 4, {"c0": value, "c1": None}, seconds, 10**9, False,
            None, {}, ((2.0, value / 2), (4.0, value)))
        for seed, value in enumerate(values)
    ]  # fmt: skip
    return Standing(method, tuple(runs), failed or {})


def finish(job: Job, miou: float) -> None:
    """Leave what a finished run leaves."""
    last = {"step": job.config.steps, "ema": {"miou": miou, "per_class": {"c0": miou, "c1": miou, "c2": miou}}}
    best = {"step": job.config.steps, "miou": miou}
    write_json(job.out / "metrics.json", {"miou": miou, "best": best, "last": last, "seconds_per_step": 0.1})


def play(job: Job, line: Connection) -> None:
    """In place of `work`: seed 0 finishes, seed 1 is killed, 2 exits with a code, 3 says why, 4 never ends."""
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
