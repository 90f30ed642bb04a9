"""Trains, exports and runs the peer; started by the race in the peer's own environment.

Nothing else of this repository imports Ultralytics, and edgeseg never does. Lines that begin with
`PROGRESS` are for the race; the rest of what is printed goes to a log.

    python peer_jobs.py train --data DATA.yaml --out RUN --frames 36700 --model yolo26n-sem.yaml
    python peer_jobs.py export --weights RUN/weights/best.pt --data DATA.yaml --size 384 512
    python peer_jobs.py predict --file best.onnx --images DATA/images/val --out MASKS --size 384 512
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

# Any: this file runs where the types of neither side are installed
PROGRESS = "race:"
SECONDS_BETWEEN_LINES = 30
EXPORTS: tuple[dict[str, Any], ...] = (
    {"format": "onnx", "quantize": 8},  # first, since it takes the float file away with it
    {"format": "onnx"},
    {"format": "openvino"},
    {"format": "openvino", "quantize": 8},
)


def main() -> None:
    """Do one job."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    jobs = parser.add_subparsers(required=True)
    job = jobs.add_parser("train")
    job.set_defaults(job=train)
    job.add_argument("--model", required=True, help="its description, or weights to start from")
    job.add_argument("--data", required=True)
    job.add_argument("--out", type=Path, required=True)
    job.add_argument("--frames", type=int, required=True, help="frames seen, in whole epochs")
    job.add_argument("--labelled", type=int, required=True, help="frames of an epoch")
    job.add_argument("--side", type=int, required=True, help="of the square input, in pixels")
    job.add_argument("--batch", type=int, required=True)
    job.add_argument("--workers", type=int, required=True)
    job.add_argument("--seed", type=int, required=True)
    job = jobs.add_parser("export")
    job.set_defaults(job=export)
    job.add_argument("--weights", type=Path, required=True)
    job.add_argument("--data", required=True)
    job.add_argument("--size", type=int, nargs=2, required=True)
    job.add_argument(
        "--calibration", type=int, required=True, help="training frames that INT8 sees"
    )
    job = jobs.add_parser("predict")
    job.set_defaults(job=predict)
    job.add_argument("--file", required=True)
    job.add_argument("--images", type=Path, required=True)
    job.add_argument("--out", type=Path, required=True)
    job.add_argument("--size", type=int, nargs=2, required=True)
    given = parser.parse_args()
    given.job(given)


def say(text: str) -> None:
    """Tell the race something."""
    print(f"{PROGRESS} {text}", flush=True)


def schedule(frames: int, labelled: int) -> tuple[int, int]:
    """Return the epochs, and the frames of an epoch, that come to so many frames seen.

    1000 frames of 367 are 3 epochs of 367; 40 frames are an epoch of 40.
    """
    epochs = max(1, round(frames / labelled))
    return epochs, min(frames, labelled)


def train(given: argparse.Namespace) -> None:
    """Train by the peer's default recipe, or go on from its last checkpoint."""
    from ultralytics import YOLO

    epochs, of_epoch = schedule(given.frames, given.labelled)
    last, result = given.out / "weights" / "last.pt", given.out / "done.json"
    settings: dict[str, Any] = {"resume": True}
    if not last.exists():
        settings = {
            "data": given.data,
            "epochs": epochs,
            "fraction": of_epoch if of_epoch < given.labelled else 1.0,
            "imgsz": given.side,
            "batch": min(given.batch, of_epoch),
            "workers": given.workers,
            "seed": given.seed,
            "project": str(given.out.parent.resolve()),
            "name": given.out.name,
            "exist_ok": True,
            "pretrained": given.model.endswith(".pt"),
            "plots": False,
            "device": "cpu" if not _has_gpu() else 0,
        }
    elif _is_finished(last):
        return _write_result(result, {"epochs": epochs, "frames": epochs * of_epoch})
    model = YOLO(str(last) if last.exists() else given.model, task="semantic")
    best: list[float] = []
    _report_progress(model, epochs, best)
    model.train(**settings)
    facts = {"epochs": epochs, "frames": epochs * of_epoch, "own_best": max(best, default=None)}
    _write_result(result, facts)


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _is_finished(checkpoint: Path) -> bool:
    """Whether a checkpoint has been stripped, which its program does when it has finished."""
    from ultralytics import YOLO

    return int(YOLO(str(checkpoint), task="semantic").ckpt.get("epoch", -1)) < 0


def _write_result(path: Path, facts: dict[str, Any]) -> None:
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(facts))
    beside.replace(path)


def _report_progress(model: Any, epochs: int, best: list[float]) -> None:
    """Have a line printed twice a minute and after each epoch."""
    began = told = time.monotonic()
    seen: list[int] = [0, 0]  # batches since the start, first epoch

    def after_batch(trainer: Any) -> None:
        nonlocal told
        seen[0] += 1
        if seen[0] == 1:
            seen[1] = trainer.epoch
        if time.monotonic() - told < SECONDS_BETWEEN_LINES:
            return
        told = time.monotonic()
        per_batch = (told - began) / seen[0]
        left = (epochs - seen[1]) * len(trainer.train_loader) - seen[0]
        say(
            f"epoch {trainer.epoch + 1} of {epochs}, loss {_total(trainer.tloss):.3f}, "
            f"{per_batch:.1f} s a batch, {max(0, left) * per_batch / 60:.0f} min left"
        )

    def after_epoch(trainer: Any) -> None:
        if trainer.epoch >= epochs:
            return  # the last evaluation, of its best weights
        value = 100 * float(trainer.metrics.get("metrics/mIoU", math.nan))
        best.append(value)
        say(f"epoch {trainer.epoch + 1} of {epochs} is over, mIoU {value:.2f} by its own count")

    model.add_callback("on_train_batch_end", after_batch)
    model.add_callback("on_fit_epoch_end", after_epoch)


def _total(loss: Any) -> float:
    """Return the sum of what the peer calls its loss: its parts by name, or their values."""
    if loss is None:
        return math.nan
    parts = loss.values() if isinstance(loss, dict) else loss.reshape(-1)
    return sum(float(part) for part in parts)


def export(given: argparse.Namespace) -> None:
    """Write the exports that are missing beside the weights.

    INT8 is calibrated on training frames, not on val as the peer's default has it: val judges.
    """
    from ultralytics import YOLO

    for settings in EXPORTS:
        mark = given.weights.with_name(f"{'-'.join(map(str, settings.values()))}.done")
        if mark.exists():
            continue
        say(f"export {settings}")
        extra: dict[str, Any] = {}
        if "quantize" in settings:
            extra = {"data": given.data, "split": "train", "fraction": given.calibration}
        YOLO(str(given.weights), task="semantic").export(
            imgsz=given.size, device="cpu", verbose=False, **settings, **extra
        )
        mark.touch()


def predict(given: argparse.Namespace) -> None:
    """Write the class map of each image, at the image's size, as a gray PNG."""
    import cv2
    import numpy as np
    from ultralytics import YOLO

    given.out.mkdir(parents=True, exist_ok=True)
    model = YOLO(given.file, task="semantic")
    for number, image in enumerate(sorted(given.images.iterdir())):
        result = model.predict(str(image), imgsz=given.size, device="cpu", verbose=False)[0]
        classes = np.asarray(result.semantic_mask.data).astype(np.uint8)
        cv2.imwrite(str(given.out / f"{image.stem}.png"), classes)
        if number % 20 == 0:
            say(f"predicted {number + 1} frames with {Path(given.file).name}")


if __name__ == "__main__":
    main()
