"""Makes the demo's site as its owner would: footage on a card, a few masks, `add footage`, `add
labels`.

edgeseg.toml, frames, masks     the site
card/summer                     the footage, JPEG files by time
card/labels, val                what the owner has labelled in summer
card/gate                       labelled in summer and, a handful, in autumn: these judge the round
and nothing else card/autumn.mp4                 what the device sees after the drift truth/summer,
truth/autumn      frames with masks that nobody has at a real site: they measure, and never train
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeseg.atomic_files import write_atomic
from edgeseg.config import CONFIG_NAME, SiteConfig, to_toml, validate_config
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.demo.renderer.camera_view import Pose
from edgeseg.demo.renderer.lighting import Conditions
from edgeseg.demo.renderer.scene import CLASSES, Scene
from edgeseg.demo.seasons import AUTUMN_POSE, autumn, mornings, summer
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site

CAMERA = "gauge"
VIDEO_FPS = 10.0


@dataclass(frozen=True, kw_only=True)
class DemoSize:
    """How many frames of each kind are rendered, how large, and how long is trained."""

    height: int = 192
    width: int = 288
    footage: int = 240
    labelled: int = 16
    val: int = 24
    gate: int = 24
    gate_autumn: int = 12
    video: int = 240
    truth: int = 48
    imgsz: tuple[int, int] = (128, 192)
    train_steps: int = 400
    distill_steps: int = 400
    round_train_steps: int = 250
    round_distill_steps: int = 300
    seed: int = 0


QUICK = DemoSize(
    height=96,
    width=160,
    footage=24,
    labelled=6,
    val=4,
    gate=4,
    gate_autumn=2,
    video=30,
    truth=4,
    imgsz=(64, 96),
    train_steps=6,
    distill_steps=6,
    round_train_steps=4,
    round_distill_steps=4,
)


def demo_configuration(amounts: DemoSize) -> SiteConfig:
    """The configuration of the demo's site: a network small enough that two CPU cores train it in
    minutes.
    """
    loop = {
        "encoder": "mobilenetv2_050",
        "weights": "none",
        "imgsz": amounts.imgsz,
        "seed": amounts.seed,
        "encoder_lr": 2e-3,
        "decoder_lr": 2e-3,
        "scale": (0.75, 1.5),
    }
    train, edge = (
        {"steps": n, "eval_every": max(2, n // 4), "checkpoint_every": max(2, n // 4)}
        for n in (amounts.train_steps, amounts.distill_steps)
    )
    table = {
        "name": "gauge",
        "classes": [{"name": name, "color": color} for name, color in CLASSES],
        "data": {
            "near_duplicate": 1
        },  # the camera never moves: frames of different weather are close in dHash
        "train": {**loop, **train, "rep_dim": 64},
        "distill": {**loop, **edge},
        "export": {
            "int8": True,
            "calibration_frames": min(48, amounts.footage),
            "max_drop": 2.0,
            "max_class_drop": 4.0,
            "min_speedup": 0.0,
        },
        "log": {
            "per_hour": 2400,
            "near_duplicate": 1,
        },  # a month of footage runs through in seconds
        "adapt": {
            "min_records": min(20, amounts.video // 6),
            "train_steps": amounts.round_train_steps,
            "distill_steps": amounts.round_distill_steps,
        },
    }
    return validate_config(SiteConfig, table, "the demo")


def make_site(
    folder: Path, amounts: DemoSize | None = None, report: ProgressReporter | None = None
) -> Site:
    """Render the season and make the site in `folder`; run again it completes what is missing.

    Raises:
        DataError: the folder holds something else.
    """
    amounts, report = amounts or DemoSize(), report or NullReporter()
    text = to_toml(demo_configuration(amounts)).encode()
    stored = folder / CONFIG_NAME
    if (
        folder.exists()
        and any(folder.iterdir())
        and not (stored.exists() and (folder / "card").exists())
    ):
        raise DataError(f"{folder} is not empty and no demo; name an empty folder")
    (folder / "card").mkdir(parents=True, exist_ok=True)
    if not stored.exists():
        write_atomic(stored, text)
    _film(folder, amounts, report)
    site = Site.open(folder)
    card = folder / "card"
    add_footage(site, [card / "summer"], CAMERA, report)
    for split, name in (("train", "labels"), ("val", "val"), ("gate", "gate")):
        add_labels(
            site, card / name / "images", card / name / "masks", split, camera=CAMERA, report=report
        )
    return site


def _film(folder: Path, amounts: DemoSize, report: ProgressReporter) -> None:
    random = [np.random.default_rng((amounts.seed, number)) for number in range(8)]
    scene = Scene(amounts.height, amounts.width)
    sets = (
        ("card/labels", mornings(random[0], amounts.labelled), None),
        ("card/val", summer(random[1], amounts.val, 4), None),
        ("card/gate", summer(random[2], amounts.gate, 4), None),
        ("truth/summer", summer(random[3], amounts.truth, 4), None),
        ("truth/autumn", autumn(random[4], amounts.truth, 4), AUTUMN_POSE),
        ("card/gate-autumn", autumn(random[5], amounts.gate_autumn, 2), AUTUMN_POSE),
    )
    for name, moments, pose in sets:
        _labelled(folder / name, scene, list(moments), pose, report)
    _footage(folder / "card" / "summer", scene, list(summer(random[6], amounts.footage)), report)
    _video(
        folder / "card" / "autumn.mp4", scene, list(autumn(random[7], amounts.video, 12)), report
    )


def label_autumn(site: Site, report: ProgressReporter | None = None) -> None:
    """What the owner does once the device complains: label a few autumn frames for the gate, none
    for training.
    """
    card = site.root / "card" / "gate-autumn"
    add_labels(
        site,
        card / "images",
        card / "masks",
        "gate",
        camera=CAMERA,
        report=report or NullReporter(),
    )


def _labelled(
    folder: Path,
    scene: Scene,
    moments: list[Conditions],
    pose: Pose | None,
    report: ProgressReporter,
) -> None:
    if folder.exists():
        return
    staging = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    for kind in ("images", "masks"):
        (staging / kind).mkdir(parents=True)
    report.start(f"filming {folder.parent.name}/{folder.name}", len(moments))
    for moment in moments:
        image, mask = scene.render(moment, pose)
        _write(staging / "images" / f"{_name(moment)}.jpg", image)
        _write(staging / "masks" / f"{_name(moment)}.png", mask)
        report.advance()
    report.stop()
    staging.rename(folder)


def _footage(
    folder: Path, scene: Scene, moments: Iterable[Conditions], report: ProgressReporter
) -> None:
    if folder.exists():
        return
    staging = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    moments = list(moments)
    report.start("filming a summer", len(moments))
    for moment in moments:
        _write(staging / f"{_name(moment)}.jpg", scene.render(moment)[0])
        report.advance()
    report.stop()
    staging.rename(folder)


def _video(path: Path, scene: Scene, moments: list[Conditions], report: ProgressReporter) -> None:
    if path.exists():
        return
    staging = path.with_name(f".{path.stem}.tmp.mp4")
    writer = cv2.VideoWriter(
        str(staging), cv2.VideoWriter.fourcc(*"mp4v"), VIDEO_FPS, (scene.width, scene.height)
    )
    if not writer.isOpened():
        raise DataError(
            f"{path} cannot be written; make room, or install OpenCV with its video codecs"
        )
    report.start("filming an autumn", len(moments))
    for moment in moments:
        writer.write(cv2.cvtColor(scene.render(moment, AUTUMN_POSE)[0], cv2.COLOR_RGB2BGR))
        report.advance()
    writer.release()
    report.stop()
    staging.rename(path)


def _name(moment: Conditions) -> str:
    return f"day{moment.day:06.2f}-{int(moment.hour):02d}{int(moment.hour % 1 * 60):02d}"


def _write(path: Path, image: Image) -> None:
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    quality = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == ".jpg" else []
    _, data = cv2.imencode(path.suffix, stored, quality)
    path.write_bytes(data.tobytes())
