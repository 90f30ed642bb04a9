"""The folder of a comparison: what it compares is written down once and never changed under way, so
that runs can be added later and still be set side by side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.atomic_files import remove_leftovers, write_atomic, write_json
from edgeseg.compare.plan import ComparisonPlan
from edgeseg.compare.recommendation import find_causes
from edgeseg.compare.results import SUPERVISED_ONLY
from edgeseg.config import TrainConfig, saved_differences, to_toml
from edgeseg.data.blocks import drawing_blocks
from edgeseg.data.frame_reader import SiteFrameReader
from edgeseg.digests import file_digest
from edgeseg.doctor import examine
from edgeseg.errors import ConfigError, TrainError
from edgeseg.site import Frame, Site

PLAN_FILE = "comparison.json"


@dataclass(frozen=True)
class ComparisonSetup:
    """The methods that are compared, on their data and machine.

    Attributes:
        config: The settings of every run.
        methods: Names of methods.
        seeds: The number of runs of each.
        pixels: The number of labelled pixels of each class.
        causes: Sentences on what may keep footage from helping here.
        frames: The number of frames in each split.
        machine: What it is run with, for the report.
        val_blocks: The number of each val frame's block, by which intervals are drawn.
        ceiling: mIoU that all labels would give, if that is known.
    """

    config: TrainConfig
    methods: Sequence[str]
    seeds: int
    pixels: Mapping[str, int]
    causes: Sequence[str]
    frames: Mapping[str, int]
    machine: Mapping[str, str]
    val_blocks: Sequence[int] = ()
    ceiling: float | None = None


def load_stored_plan(out: Path) -> tuple[tuple[str, ...], int]:
    """Return the methods and the number of seeds that the comparison in `out` was begun with; ()
    and 0 in an empty folder.
    """
    try:
        stored = json.loads((out / PLAN_FILE).read_bytes())
    except FileNotFoundError:
        return (), 0
    return tuple(stored["methods"]), int(stored["seeds"])


def load_stored_ceiling(out: Path) -> float | None:
    """Return the ceiling that the comparison in `out` was given, if any."""
    try:
        stored = json.loads((out / PLAN_FILE).read_bytes())
    except FileNotFoundError:
        return None
    ceiling: float | None = stored.get("ceiling")
    return ceiling


def read_ceiling(text: str) -> float:
    """Return the ceiling that a person names: a figure, a run, or a comparison.

    Args:
        text: mIoU in percent; or the folder of a run that had all labels, whose last weights
            count; or that of a comparison, where the mean of "suponly" counts.

    Raises:
        ConfigError: It is none of these.
    """
    try:
        figure = float(text)
    except ValueError:
        figure = _ceiling_of_folder(Path(text))
    if not 0 < figure <= 100:
        raise ConfigError(f"--ceiling {text} is no mIoU in percent; give a number such as 64.8")
    return figure


def _ceiling_of_folder(folder: Path) -> float:
    try:
        metrics = json.loads((folder / "metrics.json").read_bytes())
        if "methods" not in metrics:
            return float(metrics["last"]["ema"]["miou"])
        return next(
            float(row["miou"]) for row in metrics["methods"] if row["method"] == SUPERVISED_ONLY
        )
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        raise ConfigError(
            f"--ceiling {folder} is neither a number nor the folder of a finished run or "
            "comparison; give mIoU in percent, or a folder such as runs/train/exp1"
        ) from None


def claim_folder(site: Site, plan: ComparisonPlan, out: Path, *, resume: bool) -> ComparisonSetup:
    """Refuse a folder that holds something else, write down what is compared, and look at the
    labels.

    Raises:
        TrainError: It holds another comparison.
        DataError: Labelled frames are missing or damaged.
    """
    remove_leftovers(out)
    data = _data_digest(site)
    if (out / "config.toml").exists():
        _refuse_other_comparison(plan, out, data, resume=resume)
    setup = _examine_setup(site, plan)
    stored = {"methods": plan.methods, "seeds": plan.seeds, "data": data, "ceiling": plan.ceiling}
    write_json(out / PLAN_FILE, stored)
    write_atomic(out / "config.toml", to_toml(plan.config).encode())
    return setup


def _refuse_other_comparison(plan: ComparisonPlan, out: Path, data: str, *, resume: bool) -> None:
    """Check that the comparison in `out` can go on as `plan` has it.

    Raises:
        TrainError: It cannot.
    """
    if not resume:
        raise TrainError(
            f"{out} already holds a comparison; choose another folder, or continue it with --resume"
        )
    changed_lines = saved_differences(plan.config, out / "config.toml")
    if changed_lines:
        raise TrainError(
            f"{out} was begun with another configuration ({'; '.join(changed_lines[:4])}); "
            "undo the change or start a new comparison"
        )
    methods, seeds = load_stored_plan(out)
    if not set(methods) <= set(plan.methods) or seeds > plan.seeds:
        raise TrainError(
            f"{out} was begun with {', '.join(methods)} and {seeds} seeds; methods and seeds can "
            "be added to it but not taken away"
        )
    if json.loads((out / PLAN_FILE).read_bytes())["data"] != data:
        raise TrainError(
            f"the site's frames have changed since {out} was begun, its runs could not be compared "
            "with new ones; start a new comparison without --resume"
        )


def _examine_setup(site: Site, plan: ComparisonPlan) -> ComparisonSetup:
    labelled = site.require("labelled")
    reader = SiteFrameReader(site, labelled, plan.config.imgsz, memory=0)
    counts = reader.class_pixels(len(site.config.classes))
    pixels = {name: int(number) for name, number in zip(site.config.class_names, counts)}
    machine = examine(site.root)
    versions = {package.name: package.version for package in machine.packages}
    return ComparisonSetup(
        config=plan.config,
        methods=plan.methods,
        seeds=plan.seeds,
        pixels=pixels,
        causes=find_causes(
            pixels,
            len(labelled),
            [frame.camera for frame in labelled],
            [frame.camera for frame in site.frames("unlabelled")],
        ),
        frames={split: len(site.frames(split)) for split in ("labelled", "unlabelled", "val")},
        machine={
            "processor": f"{machine.processor}, {machine.cores} cores",
            "GPU": "; ".join(machine.gpus) or "none",
            "system": machine.system,
            "python": machine.python,
            "torch": versions.get("torch") or "-",
            "edgeseg": machine.edgeseg,
        },
        val_blocks=drawing_blocks(site.frames("val"), site.config.data.block_seconds),
        ceiling=plan.ceiling,
    )


def _data_digest(site: Site) -> str:
    """Return a digest of what the runs learn from and are judged by: the frames of three splits,
    their masks, and the classes.
    """
    lines = [
        f"{frame.split} {frame.id} {_mask_digest(site, frame)}"
        for frame in site.frames("labelled", "unlabelled", "val")
    ]
    text = "\n".join([*sorted(lines), *site.config.class_names])
    return hashlib.sha256(text.encode()).hexdigest()


def _mask_digest(site: Site, frame: Frame) -> str:
    path = site.path(frame.mask) if frame.mask else None
    if path is None or not path.exists():  # a missing mask is told by those who read it
        return ""
    return file_digest(path)
