"""The demo's site, made as its owner would: footage on a card, a few masks, `add footage`, `add
labels`.

| path | content |
|---|---|
| edgeseg.toml, frames, masks | the site |
| card/summer | the footage, JPEG files by time |
| card/labels, card/val | what the owner has labelled in summer |
| card/gate, card/gate-autumn | a few of summer and autumn, labelled to judge the round |
| card/autumn.mp4 | what the device sees after the drift |
| truth/summer, truth/autumn | frames with masks that no real site has: they only measure |
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeseg.atomic_files import write_atomic
from edgeseg.config import CONFIG_NAME, SiteConfig, load_config, to_toml, validate_config
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.data.ingest.add_labels import add_labels
from edgeseg.demo.renderer.camera_view import Pose
from edgeseg.demo.renderer.lighting import Conditions
from edgeseg.demo.renderer.materials import CLASSES
from edgeseg.demo.renderer.scene import Scene
from edgeseg.demo.seasons import AUTUMN_POSE, autumn, mornings, summer
from edgeseg.disk.library_paths import library_path
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Site

CAMERA = "gauge"
VIDEO_FPS = 10.0
JPEG_QUALITY = 92


@dataclass(frozen=True, kw_only=True)
class DemoSize:
    """The numbers of frames of each kind, their size, and the length of the trainings.

    Attributes:
        height, width: Pixels of the rendered frames.
        footage: Unlabelled frames of the summer.
        labelled, val, gate: Labelled frames of the summer.
        gate_autumn: Labelled frames of the autumn, which judge the round.
        video: Frames of the autumn video.
        truth: Test frames of each season.
        imgsz: Height and width of the networks' input.
        train_steps, distill_steps: Of the first trainings.
        round_train_steps, round_distill_steps: Of the round's trainings.
        seed: Of everything random.
    """

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


def demo_configuration(size: DemoSize) -> SiteConfig:
    """Return the configuration of the demo's site: a network small enough that two CPU cores train
    it in minutes.
    """
    common = {
        "encoder": "mobilenetv2_050",
        "weights": "none",
        "imgsz": size.imgsz,
        "seed": size.seed,
        "encoder_lr": 2e-3,
        "decoder_lr": 2e-3,
        "scale": (0.75, 1.5),
    }
    table = {
        "name": CAMERA,
        "classes": [{"name": name, "color": color} for name, color in CLASSES],
        # The camera never moves: frames of different weather are close in dHash.
        "data": {"near_duplicate": 1},
        "train": {**common, **_steps(size.train_steps), "rep_dim": 64},
        "distill": {**common, **_steps(size.distill_steps)},
        "export": {
            "int8": True,
            "calibration_frames": min(48, size.footage),
            "max_drop": 2.0,
            "max_class_drop": 4.0,
            "min_speedup": 0.0,
        },
        # A month of footage runs through in seconds.
        "log": {"per_hour": 2400, "near_duplicate": 1},
        "adapt": {
            "min_records": min(20, size.video // 6),
            "train_steps": size.round_train_steps,
            "distill_steps": size.round_distill_steps,
        },
    }
    return validate_config(SiteConfig, table, "the demo")


def _steps(number: int) -> dict[str, int]:
    quarter = max(2, number // 4)
    return {"steps": number, "eval_every": quarter, "checkpoint_every": quarter}


def make_site(
    folder: Path, size: DemoSize | None = None, report: ProgressReporter | None = None
) -> Site:
    """Render the season and make the site in `folder`; run again it completes what is missing.

    Raises:
        DataError: The folder holds something else.
    """
    size, report = size or DemoSize(), report or NullReporter()
    stored, card = folder / CONFIG_NAME, folder / "card"
    if folder.exists() and any(folder.iterdir()) and not _is_demo(stored, card):
        raise DataError(f"{folder} is not empty and no demo; name an empty folder")
    card.mkdir(parents=True, exist_ok=True)
    if not stored.exists():
        write_atomic(stored, to_toml(demo_configuration(size)).encode())
    _render_all(folder, size, report)
    site = Site.open(folder)
    add_footage(site, [card / "summer"], CAMERA, report)
    for split, name in (("train", "labels"), ("val", "val"), ("gate", "gate")):
        add_labels(
            site, card / name / "images", card / name / "masks", split, camera=CAMERA, report=report
        )
    return site


def _is_demo(stored: Path, card: Path) -> bool:
    """Return whether a folder is a demo's, by its classes: a site of somebody may have a card/."""
    if not (stored.exists() and card.exists()):
        return False
    specs = load_config(stored).classes
    return [(spec.name, spec.color) for spec in specs] == list(CLASSES)


def label_autumn(site: Site, report: ProgressReporter | None = None) -> None:
    """Add a few labelled autumn frames to the gate, and none to training: what the owner does once
    the device complains.
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


def _render_all(folder: Path, size: DemoSize, report: ProgressReporter) -> None:
    """Render card and truth, each set from a random generator of its own, so that none depends on
    which of the others exist already.
    """
    random = [np.random.default_rng((size.seed, number)) for number in range(8)]
    scene = Scene(size.height, size.width)
    labelled_sets = (
        ("card/labels", mornings(random[0], size.labelled), None),
        ("card/val", summer(random[1], size.val, 4), None),
        ("card/gate", summer(random[2], size.gate, 4), None),
        ("truth/summer", summer(random[3], size.truth, 4), None),
        ("truth/autumn", autumn(random[4], size.truth, 4), AUTUMN_POSE),
        ("card/gate-autumn", autumn(random[5], size.gate_autumn, 2), AUTUMN_POSE),
    )
    for name, moments, pose in labelled_sets:
        _render_labelled(folder / name, scene, list(moments), pose, report)
    card = folder / "card"
    _render_footage(card / "summer", scene, list(summer(random[6], size.footage)), report)
    _render_video(card / "autumn.mp4", scene, list(autumn(random[7], size.video, 12)), report)


def _render_labelled(
    folder: Path,
    scene: Scene,
    moments: list[Conditions],
    pose: Pose | None,
    report: ProgressReporter,
) -> None:
    """Write `images/*.jpg` and `masks/*.png`."""
    if folder.exists():
        return
    with _staging_folder(folder) as staging:
        for kind in ("images", "masks"):
            (staging / kind).mkdir()
        report.start(f"filming {folder.parent.name}/{folder.name}", len(moments))
        for moment in moments:
            image, mask = scene.render(moment, pose)
            _write_picture(staging / "images" / f"{file_stem(moment)}.jpg", image)
            _write_picture(staging / "masks" / f"{file_stem(moment)}.png", mask)
            report.advance()
        report.stop()


def _render_footage(
    folder: Path, scene: Scene, moments: list[Conditions], report: ProgressReporter
) -> None:
    """Write `*.jpg`."""
    if folder.exists():
        return
    with _staging_folder(folder) as staging:
        report.start("filming a summer", len(moments))
        for moment in moments:
            image, _ = scene.render(moment)
            _write_picture(staging / f"{file_stem(moment)}.jpg", image)
            report.advance()
        report.stop()


@contextmanager
def _staging_folder(folder: Path) -> Iterator[Path]:
    """Make a hidden folder beside `folder`, which takes its name once it is complete."""
    staging = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    yield staging
    staging.rename(folder)


def _render_video(
    path: Path, scene: Scene, moments: list[Conditions], report: ProgressReporter
) -> None:
    """Write the moments as MPEG-4 video, seen by the camera after its mast has leaned.

    Raises:
        DataError: It cannot be written.
    """
    if path.exists():
        return
    staging = path.with_name(f".{path.stem}.tmp.mp4")
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    with library_path(path.parent) as folder:
        size = (scene.width, scene.height)
        writer = cv2.VideoWriter(f"{folder}/{staging.name}", codec, VIDEO_FPS, size)
        if not writer.isOpened():
            raise DataError(
                f"{path} cannot be written; make room, or install OpenCV with its video codecs"
            )
        report.start("filming an autumn", len(moments))
        for moment in moments:
            image, _ = scene.render(moment, AUTUMN_POSE)
            writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            report.advance()
        writer.release()
        report.stop()
    staging.rename(path)


def file_stem(moment: Conditions) -> str:
    """Return the name of a frame by its time: day 170 at half past nine is "day170.00-0930"."""
    return f"day{moment.day:06.2f}-{int(moment.hour):02d}{int(moment.hour % 1 * 60):02d}"


def _write_picture(path: Path, picture: Image | Mask) -> None:
    """Write an image (H, W, 3) RGB or a mask (H, W) in the format that the name ends with."""
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    _, data = cv2.imencode(path.suffix, stored, quality)
    path.write_bytes(data.tobytes())
