"""`edgeseg status`: what a site holds, what is wrong with it, and what to do next."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.bundle import Bundle
from edgeseg.data.class_pixels import frame_class_pixels
from edgeseg.errors import BundleError, DataError
from edgeseg.imaging.perceptual_hash import hamming_distances
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import SPLITS, Frame, Site, Split

LEAST: dict[Split, int] = {"val": 5, "gate": 5}  # frames below which a figure says little


@dataclass(frozen=True)
class RunInfo:
    """One folder of `runs/`; `miou` is None for a run without that figure, `finished` tells whether
    it has any.
    """

    verb: str
    name: str
    finished: bool
    miou: float | None


@dataclass(frozen=True)
class BundleInfo:
    """One folder of `bundles/`; `fault` tells what is wrong with it."""

    name: str
    seq: int | None
    created: str
    files: tuple[str, ...]
    current: bool
    fault: str


@dataclass
class SiteSummary:
    """The state of a site.

    Attributes:
        frames: number by camera and split; "withheld" counts unlabelled frames that training does
            not see.
        classes: share of the labelled pixels in percent by class and split; None for a split
            without masks.
        warnings: sentences, each with what to do about it.
        next: the command to type now.
    """

    name: str
    root: str
    frames: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: dict[str, dict[str, float | None]] = field(default_factory=dict)
    runs: list[RunInfo] = field(default_factory=list)
    bundles: list[BundleInfo] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    next: str = ""

    def total(self, split: str) -> int:
        """Frames of a split (or "withheld") over all cameras."""
        return sum(counts[split] for counts in self.frames.values())


def summarize_site(site: Site, report: ProgressReporter | None = None) -> SiteSummary:
    """Look at frames, masks, runs and bundles.

    Raises:
        DataError: the index is damaged. Damaged masks and bundles are warnings.
    """
    frames = site.frames()
    summary = SiteSummary(site.config.name, str(site.root))
    for camera in sorted({frame.camera for frame in frames}):
        mine = [frame for frame in frames if frame.camera == camera]
        counts = Counter(frame.split for frame in mine if not frame.withheld)
        withheld = sum(frame.withheld for frame in mine)
        summary.frames[camera] = {
            **{split: counts[split] for split in SPLITS},
            "withheld": withheld,
        }
    pixels = _pixels(site, frames, summary.warnings, report or NullReporter())
    for index, name in enumerate(site.config.class_names):
        summary.classes[name] = {split: _share(pixels[split], index) for split in pixels}
    summary.runs = _runs(site.root)
    summary.bundles = _bundles(site)
    _warn(site, frames, pixels, summary)
    summary.next = _next(summary)
    return summary


def _pixels(
    site: Site, frames: list[Frame], warnings: list[str], report: ProgressReporter
) -> dict[Split, NDArray[np.int64]]:
    """Pixels of each class by split, (C,)."""
    classes = len(site.config.classes)
    totals: dict[Split, NDArray[np.int64]] = {
        split: np.zeros(classes, np.int64) for split in SPLITS if split != "unlabelled"
    }
    masked = [frame for frame in frames if frame.mask and frame.split in totals]
    damaged = []
    report.start("counting classes", len(masked))
    for frame in masked:
        report.advance()
        try:
            totals[frame.split] += frame_class_pixels(site, frame)
        except DataError as error:
            damaged.append(str(error))
    report.stop()
    if damaged:
        warnings.append(
            damaged[0]
            if len(damaged) == 1
            else f"{len(damaged)} masks are unusable; first: {damaged[0]}"
        )
    return totals


def _share(pixels: NDArray[np.int64], index: int) -> float | None:
    return round(100 * float(pixels[index]) / float(pixels.sum()), 4) if pixels.sum() else None


def _runs(root: Path) -> list[RunInfo]:
    found = []
    for path in sorted(
        (root / "runs").glob("*/exp*"),
        key=lambda path: (path.parent.name, len(path.name), path.name),
    ):
        metrics: Any = {}  # Any: a JSON file of several writers
        finished = (path / "metrics.json").is_file()
        try:
            metrics = json.loads((path / "metrics.json").read_bytes()) if finished else {}
        except (OSError, ValueError):
            finished = False
        value = metrics.get("miou") if isinstance(metrics, dict) else None
        figure = float(value) if isinstance(value, (int, float)) and np.isfinite(value) else None
        found.append(RunInfo(path.parent.name, path.name, finished, figure))
    return found


def _bundles(site: Site) -> list[BundleInfo]:
    folder = site.root / "bundles"
    current = site.current_bundle.resolve() if site.current_bundle.exists() else None
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_symlink() or not path.is_dir() or path.name.startswith("."):
            continue
        is_current = current == path.resolve()
        try:
            manifest = Bundle.open(path).manifest
            files = tuple(manifest.files)
            found.append(
                BundleInfo(path.name, manifest.seq, manifest.created, files, is_current, "")
            )
        except BundleError as error:
            found.append(BundleInfo(path.name, None, "", (), is_current, str(error)))
    return found


def _warn(
    site: Site, frames: list[Frame], pixels: dict[Split, NDArray[np.int64]], summary: SiteSummary
) -> None:
    say = summary.warnings.append
    lost = sum(not (site.root / frame.image).is_file() for frame in frames)
    if lost:
        say(
            f"{lost} image files are gone; restore them, or delete their lines in frames.jsonl and add them again"
        )
    annotated = [frame for frame in frames if frame.split != "unlabelled"]
    if annotated:
        absent = {
            split: [n for n, p in zip(site.config.class_names, counts) if not p]
            for split, counts in pixels.items()
        }
        summary.warnings += _about_labels(absent, summary)
    copies = _copies(annotated, site.config.data.near_duplicate)
    if copies:
        say(
            f"{copies} val or gate frames look almost like labelled ones, which flatters figures; label other times too"
        )
    if annotated and not summary.total("unlabelled"):
        say(
            "there is no unlabelled footage for semi-supervised training to gain from; use `edgeseg add footage`"
        )
    if any(info.current and info.fault for info in summary.bundles):
        say(
            "the current bundle is damaged; go back with `edgeseg adapt --rollback`, or export again"
        )


def _about_labels(absent: dict[Split, list[str]], summary: SiteSummary) -> list[str]:
    said = []
    if absent["labelled"]:
        said.append(
            f"no labelled frame shows {', '.join(absent['labelled'])}, so it cannot be learned; label some that do"
        )
    for split, least in LEAST.items():
        number = summary.total(split)
        only = [name for name in absent[split] if name not in absent["labelled"]]
        if number < least:
            said.append(
                f"{split} has {number} frames, too few to rely on; use `edgeseg add labels --split {split}`"
            )
        elif only:
            said.append(
                f"no {split} frame shows {', '.join(only)}, so how well it is found stays open; add some"
            )
    return said


def _copies(annotated: list[Frame], near: int) -> int:
    learned = np.array(
        [int(frame.hash, 16) for frame in annotated if frame.split == "labelled"], np.uint64
    )
    judges = [frame for frame in annotated if frame.split != "labelled"]
    return sum(
        bool((hamming_distances(int(frame.hash, 16), learned) <= near).any()) for frame in judges
    )


def _next(summary: SiteSummary) -> str:
    finished = {run.verb for run in summary.runs if run.finished}
    if not summary.frames:
        return "edgeseg add footage PATH"
    if not summary.total("labelled"):
        return "edgeseg add labels IMAGES MASKS"
    if not summary.total("val"):
        return "edgeseg add labels IMAGES MASKS --split val"
    if "train" not in finished:
        return "edgeseg train"
    if "distill" not in finished:
        return "edgeseg distill"
    if not any(bundle.current for bundle in summary.bundles):
        return "edgeseg export --int8"
    return "edgeseg infer --source VIDEO --log DIR"
