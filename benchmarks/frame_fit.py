"""What it costs when frames have another shape than the networks, and which cure is best.

    python benchmarks/frame_fit.py --data DATA/camvid --weights WEIGHTS.safetensors --out FOLDER

The frames of a labelled data set are cut to portrait (9:16) and to wide (32:9) ones. A network of
one landscape input learns each with `data.fit` stretch, letterbox and crop, and one whose input
fits the frames at the same number of pixels (`edgeseg status` proposes it). `suponly`, the same
frames, steps and seeds for all. Judged are all labelled pixels of val at the frames' own size: what
a crop does not see is lost, and counts as such in the last column. Finished trainings are kept; a
second start goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.sites import CAMVID
from edgeseg.atomic_files import write_json
from edgeseg.config import FitMode, TrainConfig, validate_config
from edgeseg.config.template import create_site
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.data.frame_shapes import fitting_size
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.imaging.array_types import IGNORE
from edgeseg.imaging.frame_fit import fit_frame
from edgeseg.imaging.mask_png import encode_palette_png, read_mask
from edgeseg.metrics import miou
from edgeseg.models.model_files import load_model
from edgeseg.site import Site
from edgeseg.training.model_evaluation import predict
from edgeseg.training.train import train

IMGSZ = (128, 192)
SHAPES = {"portrait 9:16": 9 / 16, "wide 32:9": 32 / 9}
CHOICES: tuple[tuple[FitMode, bool], ...] = (
    ("stretch", False),
    ("letterbox", False),
    ("crop", False),
    ("stretch", True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=92)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    results = options.out / "results.json"
    found: dict[str, dict[str, float]] = (
        json.loads(results.read_bytes()) if results.exists() else {}
    )
    for seed in range(options.seeds):
        for shape, aspect in SHAPES.items():
            root = options.out / shape.replace(" ", "-").replace(":", "-")
            make_site(root, aspect, options)
            for fit, fits in CHOICES:
                key = f"{shape}, {'imgsz fits' if fits else fit}, seed {seed}"
                if key not in found:
                    found[key] = measure(root, fit, seed, options, fits=fits)
                    write_json(results, found)
                    print(key, found[key], flush=True)
    print(f"\n{'':36}mIoU of what is seen    of all pixels")
    for shape in SHAPES:
        for fit, fits in CHOICES:
            name = f"{shape}, {'imgsz fits' if fits else fit}"
            rows = [found[f"{name}, seed {seed}"] for seed in range(options.seeds)]
            seen, everything = ([row[part] for row in rows] for part in ("seen", "all"))
            print(f"{name:36}{spread(seen)}          {spread(everything)}")


def spread(values: list[float]) -> str:
    """Return mean and standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):5.1f} +- {deviation:3.1f}"


def make_site(root: Path, aspect: float, options: Any) -> None:  # Any: parsed arguments
    """Make a site of frames cut to an aspect (width to height) around their middle."""
    if (root / "ready").exists():
        return
    create_site(root, [name for name, _ in CAMVID])
    site = Site.open(root)
    palette = [spec.rgb for spec in site.config.classes]
    for split in ("train", "val"):
        paths = sorted((options.data / "images" / split).glob("*.jpg"))
        if split == "train":
            paths = [paths[int(i)] for i in np.linspace(0, len(paths) - 1, options.frames)]
        for path in paths:
            image = cv2.imread(str(path))
            mask = read_mask(options.data / "labels" / split / f"{path.stem}.png", ignore=(11,))
            assert image is not None
            height, width = mask.shape
            rows, columns = min(height, round(width / aspect)), min(width, round(height * aspect))
            top, left = (height - rows) // 2, (width - columns) // 2
            part = np.s_[top : top + rows, left : left + columns]
            for folder, data in (
                ("images", cv2.imencode(".png", image[part])[1].tobytes()),
                ("masks", encode_palette_png(mask[part], palette)),
            ):
                target = root / "cut" / split / folder / f"{path.stem}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        add_labels(site, root / "cut" / split / "images", root / "cut" / split / "masks", split)
    (root / "ready").touch()


def measure(
    root: Path,
    fit: FitMode,
    seed: int,
    options: Any,  # Any: parsed arguments
    *,
    fits: bool,
) -> dict[str, float]:
    """Train one network and judge it on val."""
    site = Site.open(root, overrides=[f'data.fit="{fit}"'])
    frame = site.frames("val")[0]
    size = fitting_size((frame.height, frame.width), IMGSZ) if fits else IMGSZ
    config = validate_config(
        TrainConfig,
        {
            "method": "suponly",
            "arch": "lraspp",
            "encoder": "mobilenetv2_100",
            "weights": str(options.weights),
            "imgsz": size,
            "steps": options.steps,
            "eval_every": options.steps,
            "seed": seed,
        },
        "benchmark",
    )
    name = f"{'fits' if fits else fit}-{seed}"
    run = train(site, config, root / "runs" / "train" / name, resume=True).path
    module, classes = load_model(run, "last").module, len(site.config.classes)
    seen = np.zeros((classes, classes + 1), np.int64)
    for frame in site.frames("val"):
        image, truth = read_site_frame(site, frame)
        assert truth is not None
        place = fit_frame(fit, (frame.height, frame.width), size)
        mask = place.frame_mask(predict(module, [place.image(image)])[0][0].numpy())
        labelled = truth != IGNORE
        predicted = np.where(mask == IGNORE, classes, mask)[labelled].astype(np.int64)
        cells = truth[labelled].astype(np.int64) * (classes + 1) + predicted
        seen += np.bincount(cells, minlength=seen.size).reshape(seen.shape)
    square = seen[:, :classes]
    hit = np.diagonal(square)
    union = seen.sum(1) + square.sum(0) - hit
    present = seen.sum(1) > 0
    return {
        "seen": round(miou(square), 3),
        "all": round(float(100 * (hit[present] / union[present]).mean()), 3),
    }


if __name__ == "__main__":
    main()
