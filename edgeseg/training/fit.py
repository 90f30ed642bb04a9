"""The way into the training loop: what a training is given, and how its parts are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from edgeseg.atomic_files import lock_folder
from edgeseg.config import LoopConfig
from edgeseg.data.frame_reader import FrameReader, SiteFrameReader
from edgeseg.data.frame_shapes import shape_advice
from edgeseg.data.propagation.propagated_reader import PropagatedLabelReader
from edgeseg.data.propagation.propagation_picture import draw_propagation
from edgeseg.data.site_needs import (
    absent_classes_note,
    later_needs,
    require_labelled_pixels,
    require_learnable,
)
from edgeseg.errors import TrainError
from edgeseg.methods import Method
from edgeseg.models.model_files import ModelCard, read_card, save_card
from edgeseg.progress import ProgressReporter
from edgeseg.site import Site
from edgeseg.tracking import RunTrackers, TrackedRun, open_trackers, require_trackers
from edgeseg.training.devices import Devices, share_batches
from edgeseg.training.memory.accumulation import accumulation_parts
from edgeseg.training.optimizer import make_optimizer
from edgeseg.training.reporting.frames_read import remember_frames
from edgeseg.training.reporting.run_record import RunRecord
from edgeseg.training.reporting.val_pictures import ValPictures
from edgeseg.training.run_folder import RunFolder, RunResult
from edgeseg.training.step_batches import StepBatches, TrainingFrames
from edgeseg.training.trainer import StepRange, Trainer
from edgeseg.training.validation import Validation, frames_while_training


@dataclass(frozen=True)
class TrainingSpec:
    """One training.

    Attributes:
        site: The site whose frames are read.
        config: Settings of the loop.
        out: The run folder.
        make_method: Builds the method from the labelled pixels of each class, (C,).
        rep_dim: Width of the student's representation head, 0 without.
        steps: Which steps of the run; all of them if left out.
        focus: Ids of unlabelled frames that make up half of every unlabelled batch.
        footage: The unlabelled frames, perhaps with pseudo-labels; all that the site has if left
            out.
        title: Title of the progress bar.
    """

    site: Site
    config: LoopConfig
    out: Path
    make_method: Callable[[Tensor], Method]
    rep_dim: int = 0
    steps: StepRange | None = None
    focus: frozenset[str] = field(default_factory=frozenset)
    footage: FrameReader | None = None
    title: str = "train"

    @property
    def step_range(self) -> StepRange:
        """The steps, by default all that the configuration has."""
        return self.steps or StepRange(0, self.config.steps)


def fit(spec: TrainingSpec, *, resume: bool = False, report: ProgressReporter) -> RunResult:
    """Run a training to its end; one that is resumed goes on from its newest checkpoint.

    Raises:
        ConfigError: a tracker is not installed.
        TrainError: the run cannot start or cannot go on.
        DataError: frames are missing or damaged, or their labels teach or judge nothing.
    """
    require_trackers(spec.config.trackers)
    devices = Devices.launch(spec.config)
    with lock_folder(devices.lock_path(spec.out), TrainError):
        folder = RunFolder(spec.out, spec.config, resume=resume, is_main=devices.is_main)
        _require_same_fit(spec)
        finished = folder.finished()
        if finished is not None and resume:
            return finished
        return _assemble(spec, devices, folder, report).run()


def _assemble(
    spec: TrainingSpec, devices: Devices, folder: RunFolder, report: ProgressReporter
) -> Trainer:
    """Build the parts of a training; each takes its settings from the configuration here."""
    site, config, classes = spec.site, spec.config, spec.site.config.classes
    labelled = SiteFrameReader(site, site.require("labelled"), config.imgsz, report=report)
    val = site.require("val")
    validation = Validation(
        site,
        val,
        config.imgsz,
        frames_while_training(config, val),
        all_at_end=spec.step_range.last == config.steps,
    )
    pixels = labelled.class_pixels(len(classes))
    require_learnable(pixels.tolist(), site.config.class_names)
    require_labelled_pixels(site, "val")
    if devices.is_main and spec.step_range.first == 0:
        _tell_shortcomings(spec, pixels, report)
    if devices.is_main:
        remember_frames(site, spec.out)

    torch.manual_seed(config.seed)
    method = spec.make_method(pixels).to(memory_format=torch.channels_last)
    if devices.is_main and spec.step_range.first == 0 and config.weights != "none":
        origin = method.student.weights_origin
        report.say(f"note: the encoder {config.encoder} comes from {origin or 'an earlier run'}")
    devices.synchronize_batch_norms(method)
    optimizer = make_optimizer(method, config)

    shares = share_batches(config, devices.world_size, unlabelled=method.needs_unlabelled)
    unlabelled = None
    if method.needs_unlabelled:
        unlabelled = spec.footage or _open_footage(spec, method, labelled, devices, report)
    save_card(
        spec.out,
        ModelCard(
            arch=config.arch,
            encoder=config.encoder,
            rep_dim=spec.rep_dim,
            classes=classes,
            height=config.imgsz[0],
            width=config.imgsz[1],
            fit=site.config.data.fit,
            mean=method.student.normalization.mean,
            std=method.student.normalization.std,
            atrous_rates=method.student.atrous_rates,
            weights_origin=method.student.weights_origin,
        ),
    )
    method.to(devices.device)
    parts = accumulation_parts(spec.out, method, config, shares, devices)
    frames = TrainingFrames(labelled, unlabelled, spec.focus)
    trackers = RunTrackers()
    if devices.is_main:
        tracked = TrackedRun(
            site.root, site.config.name or site.root.name, spec.out, config.model_dump(mode="json")
        )
        trackers = open_trackers(config.trackers, tracked, report)
    evaluations = len(range(spec.step_range.first, spec.step_range.last, config.eval_every))
    return Trainer(
        method=method,
        optimizer=optimizer,
        batches=StepBatches(frames, config, shares, devices, parts),
        devices=devices,
        validation=validation,
        folder=folder,
        record=RunRecord(
            site=site,
            title=spec.title,
            folder=folder,
            trackers=trackers,
            pictures=ValPictures(site, validation, evaluations),
            validation=validation,
            device=devices.device,
            report=report,
        ),
        steps=spec.step_range,
        config=config,
        report=report,
        title=spec.title,
    )


def _open_footage(
    spec: TrainingSpec,
    method: Method,
    labelled: SiteFrameReader,
    devices: Devices,
    report: ProgressReporter,
) -> FrameReader:
    """The site's unlabelled frames, with the labels of other frames if the method takes them."""
    site, frames = spec.site, spec.site.require("unlabelled")
    if not method.propagation:
        return SiteFrameReader(site, frames, spec.config.imgsz, report=report)
    reader = PropagatedLabelReader(site, frames, labelled, report)
    picture = spec.out / "propagated.png"
    if devices.is_main and not picture.exists():
        names, palette = site.config.class_names, site.config.palette
        report.say(f"note: {draw_propagation(reader, names, palette, picture)}")
    return reader


def _require_same_fit(spec: TrainingSpec) -> None:
    """Check that a run that goes on sees its frames as it did before.

    Raises:
        TrainError: `data.fit` was changed since it began.
    """
    now = spec.site.config.data.fit
    if (spec.out / "model.json").exists() and (began := read_card(spec.out).fit) != now:
        raise TrainError(
            f"{spec.out} was begun with data.fit {began!r}, not {now!r}; change it back in "
            "edgeseg.toml to go on, or start a new run without --resume"
        )


def _tell_shortcomings(spec: TrainingSpec, pixels: Tensor, report: ProgressReporter) -> None:
    """Say what labels and settings lack for a good result, or for the steps that come after."""
    site, config = spec.site, spec.config
    note = absent_classes_note(pixels.tolist(), site.config.class_names)
    for sentence in filter(None, (note, *later_needs(site))):
        report.say(f"note: {sentence}")
    footage = site.frames("labelled", "unlabelled")
    val = site.frames("val")
    if (few := frames_while_training(config, val)) < len(val):
        report.say(
            f"note: between steps {few} of the {len(val)} val frames are evaluated, evenly spread, "
            "so that it takes a tenth of the time at most; at the end all (eval_frames, eval_every)"
        )
    if advice := shape_advice(footage, config.imgsz, site.config.data.fit, config.encoder):
        report.say(f"note: {advice}")
