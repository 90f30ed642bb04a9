"""The share of a training's time that evaluation takes, with 1,000 val frames.

    OMP_NUM_THREADS=1 python benchmarks/evaluation_cost.py --out FOLDER

Makes a site of noise with frames of 360x480, trains on it for some steps with the sizes of
`benchmarks/sites.py camvid-spread` (192x256, batch 4 + 4, MobileNetV2 without weights), and times a
step and a val frame by themselves. From these it tells what a training of 800, 2000 and 4000 steps
on a site with 1,000 val frames spends on evaluations: as edgeseg does them, and as it once did,
when both networks saw all of val every 200 steps and once more at the end. Times are of the
processor, so other work beside matters little.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgeseg.config import TrainConfig, validate_config
from edgeseg.models import build_network
from edgeseg.site import Frame, Site, Split
from edgeseg.training.train import train
from edgeseg.training.validation import Validation, frames_while_training

CLASSES, HEIGHT, WIDTH = 11, 360, 480
COUNTS: dict[Split, int] = {"labelled": 8, "unlabelled": 16, "val": 24}
VAL = 1000  # frames of the site that is told about


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--method", default="cutmix_mt")
    parser.add_argument("--steps", type=int, default=6, help="steps that are timed")
    options = parser.parse_args()
    site = noise_site(options.out / "site")
    changes = {
        "method": options.method,
        "encoder": "mobilenetv2_100",
        "weights": "none",
        "imgsz": [192, 256],
        "device": "cpu",
    }
    config = validate_config(TrainConfig, changes, "the benchmark")
    step = seconds_of_a_step(site, config, options.out, options.steps)
    frame = seconds_of_a_frame(site, config)
    some = frames_while_training(config, site.require("val")[:1] * VAL)
    print(f"{options.method}: {step:.3f} s a step, {1000 * frame:.1f} ms a val frame")
    for steps in (800, 2000, 4000):
        evaluations = steps // config.eval_every
        now = frame * (some * (evaluations - 1) + VAL)
        once = frame * 2 * VAL * (evaluations + 1)
        shares = (100 * each / (each + steps * step) for each in (once, now))
        print(
            f"{steps} steps, {VAL} val frames ({some} between steps): evaluations take "
            "{:.1f} % of the time as they once were, {:.1f} % now".format(*shares)
        )


def noise_site(root: Path) -> Site:
    """A site of COUNTS frames."""
    root.mkdir(parents=True, exist_ok=True)
    text = "".join(f'[[classes]]\nname = "c{i}"\ncolor = "#0000{i:02x}"\n' for i in range(CLASSES))
    (root / "edgeseg.toml").write_text(text)
    random = np.random.default_rng(0)
    frames = []
    for split, number in COUNTS.items():
        for index in range(number):
            name = f"{split}{index}"
            image = random.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
            mask = random.integers(0, CLASSES, (HEIGHT // 40, WIDTH // 40), np.uint8)
            cv2.imwrite(str(root / f"{name}.jpg"), cv2.resize(image, (WIDTH, HEIGHT)))
            large = cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(root / f"{name}-mask.png"), large)
            frames.append(
                Frame(
                    id=name,
                    camera="cam",
                    time=float(index),
                    source="noise.mp4",
                    split=split,
                    image=f"{name}.jpg",
                    mask=None if split == "unlabelled" else f"{name}-mask.png",
                    height=HEIGHT,
                    width=WIDTH,
                    hash="0" * 16,
                    origin="footage",
                )
            )
    site = Site.open(root)
    site.save_frames(frames)
    return site


def seconds_of_a_step(site: Site, config: TrainConfig, out: Path, steps: int) -> float:
    """Train twice, and take what the longer training needs more."""
    seconds = []
    for number in (2, 2 + steps):
        # Footage counts from the first step on, as it does for most of a long training.
        changes = {"steps": number, "eval_frames": 1, "warmup": 0.0, "ramp": 0.0}
        changes["propagation"] = False  # it is paid once, by the first training of a site
        run = out / f"{config.method}-{number}-{time.time_ns()}"
        began = time.process_time()
        train(site, config.model_copy(update=changes), run)
        seconds.append(time.process_time() - began)
    return (seconds[1] - seconds[0]) / steps


def seconds_of_a_frame(site: Site, config: TrainConfig) -> float:
    """Evaluate frames that are read for the first time, as after a start."""
    number = COUNTS["val"]
    network = build_network(config.arch, config.encoder, CLASSES, "none", size=config.imgsz)
    network.to(memory_format=torch.channels_last)
    validation = Validation(site, site.require("val"), config.imgsz, number)
    began = time.process_time()
    validation.count(network, validation.places, torch.device("cpu"))
    return (time.process_time() - began) / number


if __name__ == "__main__":
    main()
