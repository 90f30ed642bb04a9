"""A tiny site with a champion, a frame log, and stand-ins for the trainings of a round."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.adapt.gate import GateMeasurement
from edgeseg.adapt.round_context import TrainingSteps
from edgeseg.adapt.round_runner import RoundResult, run_round
from edgeseg.adapt.round_status import list_rounds
from edgeseg.atomic_files import write_json
from edgeseg.bundle import FLAVOURS, Bundle, Manifest, write_bundle
from edgeseg.config import ClassSpec, LogConfig, SiteConfig, to_toml, validate_config
from edgeseg.imaging.perceptual_hash import dhash
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.framelog.frame_selection import LogCandidate
from edgeseg.site import Frame, Site, Split

HEIGHT, WIDTH = 64, 96
CLASSES = (
    ClassSpec(name="sky", color="#80c0ff"),
    ClassSpec(name="water", color="#2040c0"),
    ClassSpec(name="bank", color="#806040"),
)
LOOP: dict[str, Any] = {
    "encoder": "mobilenetv2_050",
    "weights": "none",
    "imgsz": [64, 96],
    "steps": 4,
    "batch": 2,
    "batch_unlabelled": 2,
    "eval_every": 4,
    "checkpoint_every": 2,
    "workers": 1,
    "precision": "32",
}
SECTIONS: dict[str, Any] = {
    "classes": CLASSES,
    "train": {**LOOP, "method": "mean_teacher"},
    "distill": LOOP,
    "export": {
        "max_drop": 100,
        "max_class_drop": 100,
        "min_speedup": 0,
        "calibration_frames": 4,
        "threads": 1,
        "ask_tensorrt": False,
    },
    "adapt": {
        "min_records": 3,
        "max_records": 20,
        "train_steps": 4,
        "distill_steps": 4,
        "draws": 100,
        "max_drop": 0.5,
    },
}
CONFIG = validate_config(SiteConfig, SECTIONS, "the test site")


def scene(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image (H, W, 3) and mask (H, W): three bands in three colors under a random pattern; each
    seed its own hash.
    """
    random = np.random.default_rng(seed)
    pattern = cv2.resize(random.uniform(-70, 70, (8, 9)).astype(np.float32), (WIDTH, HEIGHT))
    tops = 20 + random.integers(0, 4), 42 + random.integers(0, 4)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[tops[0] :] = 1
    mask[tops[1] :] = 2
    colors = np.array([spec.rgb for spec in CLASSES], np.float32)
    return np.clip(colors[mask] + pattern[..., None], 0, 255).astype(np.uint8), mask


def add_frame(site: Site, seed: int, split: Split) -> Frame:
    """Put scene `seed` into the site and return its line of the index."""
    image, mask = scene(seed)
    identity = f"cam-{seed:016x}"
    paths = [
        site.root / "frames/cam" / f"{identity}.png",
        site.root / "masks/cam" / f"{identity}.png",
    ]
    for path, picture in zip(paths, (image[..., ::-1], mask)):
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture)
    return Frame(
        id=identity,
        camera="cam",
        time=100.0 * seed,
        source="clip.mp4",
        split=split,
        height=HEIGHT,
        width=WIDTH,
        image=f"frames/cam/{identity}.png",
        mask=None if split == "unlabelled" else f"masks/cam/{identity}.png",
        hash=f"{dhash(image):016x}",
        origin="footage",
    )


def make_site(root: Path, config: SiteConfig = CONFIG) -> Site:
    """A site with 4 labelled, 3 val, 3 gate and 4 unlabelled frames and no runs."""
    root.mkdir(parents=True)
    (root / "edgeseg.toml").write_text(to_toml(config))
    site = Site(root, config)
    splits: list[tuple[Split, int]] = [("labelled", 4), ("val", 3), ("gate", 3), ("unlabelled", 4)]
    order = [split for split, number in splits for _ in range(number)]
    site.save_frames([add_frame(site, seed, split) for seed, split in enumerate(order)])
    return site


def add_run(path: Path, site: Site, teacher: Path | None = None, init: Path | None = None) -> None:
    """What a finished run leaves, with weights that nobody can load."""
    (path / "weights").mkdir(parents=True, exist_ok=True)
    write_json(path / "model.json", {"arch": "deeplabv3plus", "encoder": "mobilenetv2_050"})
    if teacher is not None:
        write_json(path / "origin.json", {"teacher": str(teacher), "init": init and str(init)})
    (path / "weights" / "best.safetensors").write_bytes(f"weights of {path.name}".encode())
    write_json(path / "metrics.json", {"miou": 50.0})


def make_bundle(
    path: Path, run: Path, *, seq: int = 0, int8: bool = True, classes: Any = CLASSES
) -> Bundle:
    """A bundle whose graphs are a few bytes."""
    manifest = Manifest(
        seq=seq,
        site="site",
        created="2026-01-01",
        classes=classes,
        height=HEIGHT,
        width=WIDTH,
        entropy_height=16,
        entropy_width=24,
        gamma=0.3,
        temperature=1.0,
        log_threshold=0.4,
        figures={},
        provenance={"run": str(run)},
        files={},
    )
    files = {FLAVOURS["fp32"].file: f"graph {seq}".encode()}
    return write_bundle(
        path,
        manifest,
        files | ({FLAVOURS["int8-cpu"].file: f"int8 {seq}".encode()} if int8 else {}),
    )


def make_champion(site: Site, *, int8: bool = True) -> Bundle:
    """Runs that look finished, and the bundle made from them as `bundles/current`."""
    add_run(site.root / "runs/train/exp1", site)
    add_run(site.root / "runs/distill/exp1", site, teacher=site.root / "runs/train/exp1")
    bundle = make_bundle(
        site.root / "bundles/first", site.root / "runs/distill/exp1", seq=1, int8=int8
    )
    (site.root / "bundles/current").symlink_to("first")
    return bundle


def make_log(folder: Path, seeds: range, *, reason: Any = "score", flags: Any = ()) -> list[Path]:
    """A frame log with the scenes of `seeds`; the first has the highest score."""
    config = LogConfig.model_validate({"min_free_bytes": 0})
    with FrameLog.open(
        folder, config, device="box", model="0" * 64, threshold=0.2, clock=lambda: 0.0
    ) as log:
        return [
            log.put(
                scene(seed)[0],
                camera="cam",
                score=0.9 - 0.01 * place,
                mask=None,
                entropy=None,
                monotonic_ns=place * 10**9,
                candidate=LogCandidate(reason, 1.0, flags),
            )
            for place, seed in enumerate(seeds)
        ]


def counts(hits: list[int], misses: list[int]) -> NDArray[np.int64]:
    """(3 frames, C, C): each class with so many pixels found and so many taken for the next class,
    in every frame.
    """
    matrix = np.diag(hits).astype(np.int64)
    for index, number in enumerate(misses):
        matrix[index, (index + 1) % len(hits)] += number
    return np.stack([matrix] * 3)


GOOD, FAIR, BAD = (
    counts([90, 90, 90], [10] * 3),
    counts([80, 80, 80], [20] * 3),
    counts([50, 50, 50], [50] * 3),
)


@dataclass
class TrainingStandIns:
    """Stand-ins for the work that takes hours: they write what the real functions write, and note
    that they were called.

    Attributes:
        challenger: Counts that the challenger is said to have; the champion has FAIR.
        collapse: What the pseudo-labels are said to suffer from.
        int8: Whether the export makes an INT8 file.
        calls: Step and the arguments worth looking at.
        before: Called with the name of each step before it.
    """

    challenger: NDArray[np.int64] = field(default_factory=lambda: GOOD)
    collapse: str = ""
    int8: bool = True
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    before: Callable[[str], None] = lambda step: None

    def steps(self) -> TrainingSteps:
        return TrainingSteps(
            self._check_drift, self._train, self._distill, self._export, self._measure
        )

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def _check_drift(self, site: Site, run: Path, frames: Any, out: Path, **rest: Any) -> Any:
        self._note("pseudo-label", run=run, frames=[frame.id for frame in frames])
        write_json(out / "statistics.json", {"frames": len(frames)})
        return SimpleNamespace(
            kl=0.1,
            kept=0.8,
            effective=2.9,
            alarms=("classes differ",),
            collapse=self.collapse,
            flagged=tuple(frame.id for frame in frames)[:2],
        )

    def _train(self, site: Site, config: Any, out: Path, **rest: Any) -> Any:
        self._note("train", steps=config.steps, **rest)
        add_run(out, site)
        return SimpleNamespace(miou=60.0)

    def _distill(self, site: Site, config: Any, teacher: Path, out: Path, **rest: Any) -> Any:
        self._note("distill", steps=config.steps, teacher=teacher, **rest)
        add_run(out, site, teacher, rest["init"])
        return SimpleNamespace(miou=55.0)

    def _export(
        self, site: Site, config: Any, run: Path, out: Path, *, seq: int, report: Any
    ) -> Any:
        self._note("export", run=run, seq=seq, int8=config.int8, imgsz=config.imgsz)
        make_bundle(out, run, seq=seq, int8=self.int8)
        return SimpleNamespace(refused=[] if self.int8 else ["INT8 loses 9.0 mIoU"])

    def _measure(
        self, site: Site, challenger: Path, champion: Path, report: Any
    ) -> tuple[GateMeasurement, GateMeasurement]:
        self._note("compare", champion=champion.name)
        int8_file, float_file = FLAVOURS["int8-cpu"].file, FLAVOURS["fp32"].file
        champion_int8 = int8_file in Bundle.open(champion).manifest.files
        return (
            GateMeasurement(
                name=challenger.name,
                artefact=int8_file if self.int8 else float_file,
                counts=self.challenger,
                fps=20.0,
            ),
            GateMeasurement(
                name=champion.name,
                artefact=int8_file if champion_int8 else float_file,
                counts=FAIR,
                fps=18.0,
            ),
        )

    def _note(self, name: str, **what: Any) -> None:
        self.before(name)
        self.calls.append((name, what))


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def run_with(
    site: Site, stand_ins: TrainingStandIns | None = None, *logs: str, resume: bool = False
) -> RoundResult:
    """Run a round on the logs beside the site, `log` if none is named."""
    folders = [site.root.parent / name for name in logs or (() if resume else ("log",))]
    training = (stand_ins or TrainingStandIns()).steps()
    return run_round(site, folders, resume=resume, training=training)


def with_config(site: Site, **changes: dict[str, Any]) -> Site:
    """The site under another configuration, by section."""
    table = CONFIG.model_dump()
    for section, values in changes.items():
        table[section].update(values)
    return Site(site.root, validate_config(SiteConfig, table, "the test site"))


def verdicts(site: Site) -> list[str]:
    return [entry.verdict for entry in list_rounds(site)]


class Interrupted(Exception):
    """Stands for whatever ends a step."""


def interrupt_at(step: str) -> Callable[[str], None]:
    """Return a `before` of stand-ins that ends a step."""

    def before(name: str) -> None:
        if name == step:
            raise Interrupted

    return before
