"""`edgeseg status`: the contents of a site, its faults, and the next command."""

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
from edgeseg.data.frame_shapes import shape_advice
from edgeseg.data.site_needs import (
    MIN_EXPORT_VAL_FRAMES,
    NO_FOOTAGE,
    label_warnings,
    labels_refusal,
)
from edgeseg.data.splits import known_places_note
from edgeseg.errors import BundleError, DataError
from edgeseg.imaging.perceptual_hash import hamming_distances
from edgeseg.metrics import format_interval
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import HELD_OUT, SPLITS, Frame, Site, Split


@dataclass(frozen=True)
class RunInfo:
    """One folder of `runs/`.

    Attributes:
        finished: Whether the run has written its figures.
        miou: None for a run without that figure.
        interval: The frames and the 95 % interval of that figure, in words; empty for older runs.
    """

    verb: str
    name: str
    finished: bool
    miou: float | None
    interval: str = ""


@dataclass(frozen=True)
class BundleInfo:
    """One folder of `bundles/`.

    Attributes:
        seq: Sequence number; None if the bundle is faulty.
        current: Whether `bundles/current` points at it.
        fault: What is wrong with it; empty if nothing is.
    """

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
        frames: Number by camera and split; "withheld" counts unlabelled frames that training does
            not see.
        classes: Share of the labelled pixels in percent by class and split; None for a split
            without masks.
        warnings: Sentences, each with what to do about it.
        notes: Sentences on what the figures mean.
        next: The command to type now.
    """

    name: str
    root: str
    frames: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: dict[str, dict[str, float | None]] = field(default_factory=dict)
    runs: list[RunInfo] = field(default_factory=list)
    bundles: list[BundleInfo] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    next: str = ""

    def total(self, split: str) -> int:
        """Return the frames of a split (or "withheld") over all cameras."""
        return sum(counts[split] for counts in self.frames.values())


def summarize_site(site: Site, report: ProgressReporter | None = None) -> SiteSummary:
    """Sum up frames, masks, runs and bundles.

    Raises:
        DataError: The index is damaged. Damaged masks and bundles are warnings.
    """
    frames = site.frames()
    summary = SiteSummary(site.config.name, str(site.root))
    for camera in sorted({frame.camera for frame in frames}):
        of_camera = [frame for frame in frames if frame.camera == camera]
        counts = Counter(frame.split for frame in of_camera if not frame.withheld)
        withheld = sum(frame.withheld for frame in of_camera)
        summary.frames[camera] = {
            **{split: counts[split] for split in SPLITS},
            "withheld": withheld,
        }
    pixels = _class_pixels(site, frames, summary.warnings, report or NullReporter())
    for index, name in enumerate(site.config.class_names):
        summary.classes[name] = {split: _share(pixels[split], index) for split in pixels}
    summary.runs = _list_runs(site.root)
    summary.bundles = _list_bundles(site)
    summary.warnings += _warnings(site, frames, pixels, summary)
    summary.notes = list(filter(None, [known_places_note(frames)]))
    summary.next = _next_command(summary, labels_refusal(pixels, site.config.class_names))
    return summary


def _class_pixels(
    site: Site, frames: list[Frame], warnings: list[str], report: ProgressReporter
) -> dict[Split, NDArray[np.int64]]:
    """Count the pixels of each class by split, (C,); damaged masks become a warning."""
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
    """Return the share of a class among labelled pixels, in percent; None without any."""
    total = float(pixels.sum())
    return round(100 * float(pixels[index]) / total, 4) if total else None


def _list_runs(root: Path) -> list[RunInfo]:
    runs = []
    # By verb, then by number: exp2 comes before exp10 since its name is shorter.
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
        miou = float(value) if isinstance(value, (int, float)) and np.isfinite(value) else None
        interval = format_interval(metrics) if miou is not None else ""
        runs.append(RunInfo(path.parent.name, path.name, finished, miou, interval))
    return runs


def _list_bundles(site: Site) -> list[BundleInfo]:
    folder = site.root / "bundles"
    current = site.current_bundle.resolve() if site.current_bundle.exists() else None
    bundles = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_symlink() or not path.is_dir() or path.name.startswith("."):
            continue
        is_current = current == path.resolve()
        try:
            manifest = Bundle.open(path).manifest
            files = tuple(manifest.files)
            bundles.append(
                BundleInfo(path.name, manifest.seq, manifest.created, files, is_current, "")
            )
        except BundleError as error:
            bundles.append(BundleInfo(path.name, None, "", (), is_current, str(error)))
    return bundles


def _warnings(
    site: Site, frames: list[Frame], pixels: dict[Split, NDArray[np.int64]], summary: SiteSummary
) -> list[str]:
    warnings = []
    lost = sum(not (site.root / frame.image).is_file() for frame in frames)
    if lost:
        warnings.append(
            f"{lost} image files are gone; restore them, or add the same footage or labels again"
        )
    with_mask = [frame for frame in frames if frame.split != "unlabelled"]
    if with_mask:
        numbers = {split: summary.total(split) for split in pixels}
        warnings += label_warnings(pixels, numbers, site.config.class_names)
    similar = _held_out_like_labelled(with_mask, site.config.data.near_duplicate)
    if similar:
        warnings.append(
            f"{similar} val or gate frames look almost like labelled ones, "
            "which flatters figures; label other times too"
        )
    if with_mask and not summary.total("unlabelled"):
        warnings.append(NO_FOOTAGE)
    if advice := shape_advice(
        [frame for frame in frames if frame.split != "gate"],
        site.config.train.imgsz,
        site.config.data.fit,
        site.config.train.encoder,
    ):
        warnings.append(advice)
    if any(info.current and info.fault for info in summary.bundles):
        warnings.append(
            "the current bundle is damaged; "
            "go back with `edgeseg adapt --rollback`, or export again"
        )
    return warnings


def _held_out_like_labelled(with_mask: list[Frame], near_duplicate: int) -> int:
    """Count the val and gate frames that are near-duplicates of labelled ones."""
    labelled = [int(frame.hash, 16) for frame in with_mask if frame.split == "labelled"]
    hashes = np.array(labelled, np.uint64)
    return sum(
        bool((hamming_distances(int(frame.hash, 16), hashes) <= near_duplicate).any())
        for frame in with_mask
        if frame.split in HELD_OUT
    )


def _next_command(summary: SiteSummary, refusal: str) -> str:
    """Return what to type now.

    Args:
        refusal: Why training would refuse the labels; empty if it would not.
    """
    finished = {run.verb for run in summary.runs if run.finished}
    if not summary.frames:
        return "edgeseg add footage PATH"
    if not summary.total("labelled") or (refusal and summary.total("val")):
        return "edgeseg label, or edgeseg add labels IMAGES MASKS"
    if summary.total("val") < MIN_EXPORT_VAL_FRAMES:
        return "edgeseg label --queue val, or edgeseg add labels IMAGES MASKS --split val"
    if not summary.total("unlabelled"):
        return "edgeseg add footage PATH"
    if "train" not in finished:
        return "edgeseg train"
    if "distill" not in finished:
        return "edgeseg distill"
    if not any(bundle.current for bundle in summary.bundles):
        return "edgeseg export --int8"
    return "edgeseg infer --source VIDEO --log DIR"
