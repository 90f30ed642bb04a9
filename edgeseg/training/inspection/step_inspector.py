"""The batch of any step of a training, as the trainer makes it, without training.

Which frames a step reads, how they are cropped, flipped, recolored and mixed depends on the site's
frames, the seed and the step; pseudo-labels depend on the teacher. The newest checkpoint of a run
has it, so the step that goes on from there is shown exactly as the run would make it, on the
processor that the run trains on.

A training may run beside: the GPU is left to it unless asked for, and no activations are kept.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeseg.config import DistillConfig, LoopConfig, TrainConfig, load_saved_config
from edgeseg.data.frame_reader import FrameReader, PseudoLabelReader, SiteFrameReader
from edgeseg.data.propagation.propagated_reader import PropagatedLabelReader
from edgeseg.errors import DataError, TrainError
from edgeseg.imaging.array_types import IGNORE, Mask
from edgeseg.methods import METHODS, STAGED, Batch, Method
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.models.model_files import load_model, load_weights
from edgeseg.site import Site
from edgeseg.training.devices import BatchShares, computes_in_bf16, share_batches, trains_on_cuda
from edgeseg.training.distill import Distillation
from edgeseg.training.initial_weights import build_initial_network
from edgeseg.training.inspection.reading_notes import ReadingFacts, notes_on_reading
from edgeseg.training.inspection.view_recorder import (
    GradientNeededError,
    Recording,
    record_views,
    without_activations,
)
from edgeseg.training.memory.budget import possible_parts
from edgeseg.training.reporting.frames_read import likeness_of_frames
from edgeseg.training.run_folder import remember_origins
from edgeseg.training.step_batches import StepBatches, TrainingFrames
from edgeseg.training.train import context_maker
from edgeseg.training.trainer import step_seed
from edgeseg.training.training_checkpoint import CheckpointFolder

Images = NDArray[np.uint8]  # (B, H, W, 3) RGB
Masks = NDArray[np.uint8]  # (B, H, W) class ids, 255 = ignore


@dataclass(frozen=True)
class StudentView:
    """Unlabelled frames as the student sees them.

    Attributes:
        images: (B, H, W, 3) uint8 RGB.
        masks: (B, H, W) uint8, the pseudo-labels that count, 255 elsewhere; None where none are
            known.
        counted: Share of the pixels that count, 0..1.
    """

    images: Images
    masks: Masks | None
    counted: float = 0.0


@dataclass(frozen=True)
class StepReading:
    """What a step reads.

    Attributes:
        step: Counted from 0.
        labelled, unlabelled: Ids of the frames.
        labelled_images, labelled_masks: (B, H, W, 3) and (B, H, W) after scale, crop and flip.
        unlabelled_images, unlabelled_masks: The same of unlabelled frames; no frames where the
            method takes none.
        seen: The labelled frames as the student sees them, None where that is as they were read.
        views: What the student sees of the others.
        notes: Sentences on how far this is what a run reads.
    """

    step: int
    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    labelled_images: Images
    labelled_masks: Masks
    unlabelled_images: Images
    unlabelled_masks: Masks
    seen: Images | None
    views: tuple[StudentView, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _FirstProcess:
    """The place of the first of the processes that train together."""

    device: torch.device
    world_size: int
    rank: int = 0


class StepInspector:
    """A training that is opened to look at its steps; not safe for several threads."""

    def __init__(
        self,
        site: Site,
        verb: str,
        run: Path | None,
        focus: frozenset[str] = frozenset(),
        *,
        on_gpu: bool = False,
    ) -> None:
        """Open the frames and build the method.

        Args:
            site: The site whose frames are read.
            verb: "train" or "distill".
            run: A run folder; None for what `edgeseg.toml` would train now.
            focus: Ids of unlabelled frames that make up half of every unlabelled batch.
            on_gpu: Whether a training that means a GPU is looked at on one, whose random numbers
                are others than the CPU's.

        Raises:
            TrainError: It cannot be built, or the run is of another version.
            DataError: Frames are missing or damaged.
        """
        self._site, self._verb, self._run = site, verb, run
        own: LoopConfig = site.config.train if verb == "train" else site.config.distill
        kind: type[LoopConfig] = TrainConfig if verb == "train" else DistillConfig
        saved = own if run is None else load_saved_config(kind, run / "config.toml")
        self.config = saved.model_copy(update={"weights": "none"})  # the checkpoint has them
        self._method_name = (
            self.config.method if isinstance(self.config, TrainConfig) else "distillation"
        )
        is_staged = self._method_name in STAGED
        self._means_gpu = trains_on_cuda(self.config)
        cuda = on_gpu and self._means_gpu and torch.cuda.is_available()
        self._bf16 = computes_in_bf16(self.config, cuda=cuda)
        self._device = torch.device("cuda" if cuda else "cpu")
        labelled = SiteFrameReader(site, site.require("labelled"), self.config.imgsz)
        self._method = None if is_staged else self._make_method(labelled)
        needs_unlabelled = self._method is None or self._method.needs_unlabelled
        self._frames = "same" if run is None else likeness_of_frames(site, run)
        self._at: int | None = None  # the step of the checkpoint
        self._is_trained = False
        self._lacks_state = False  # of a method that trains more than what the run has kept
        self._keeps_activations = False
        if self._method is not None:
            self._restore(self._method)
            self._state = copy.deepcopy(self._method.state_dict())
        world = self.config.devices * self.config.nodes
        shares = share_batches(self.config, world, unlabelled=needs_unlabelled)
        footage = self._footage(labelled) if needs_unlabelled else None
        self._batches = StepBatches(  # last, for it starts threads
            TrainingFrames(labelled, footage, focus),
            self.config,
            shares,
            _FirstProcess(self._device, world),
            _parts(run, self.config, shares, unlabelled=needs_unlabelled),
        )

    @property
    def default_step(self) -> int:
        """The step that is worth most to look at: where the newest checkpoint goes on."""
        last = self.config.steps - 1
        if self._at is not None:
            return min(self._at, last)
        if self._is_trained:
            return last
        for step in range(self.config.steps):
            if self._taught_by_footage(step):
                return step
        return 0

    def read(self, step: int) -> StepReading:
        """Return what a step reads.

        Args:
            step: Counted from 0.

        Raises:
            DataError: There is no such step, or a frame cannot be read.
        """
        if not 0 <= step < self.config.steps:
            raise DataError(f"there is no step {step}; choose 0 to {self.config.steps - 1}")
        torch.manual_seed(step_seed(self.config.seed, step, 0))
        batch = self._batches.read(step)
        recordings = []
        if self._method is not None:
            recordings = self._record(self._method, step, batch.parts)
        labelled = [part for part, _ in batch.parts]
        unlabelled = [part for _, part in batch.parts if part is not None]
        number = sum(len(part.images) for part in labelled)
        counts = [len(part.images) for part in labelled]
        images = _images([part.images for part in labelled])
        seen = _seen(recordings, counts)
        size = images.shape[1:3]
        return StepReading(
            step=step,
            labelled=batch.frames[:number],
            unlabelled=batch.frames[number:],
            labelled_images=images,
            labelled_masks=_masks([part.masks for part in labelled]),
            unlabelled_images=_images([part.images for part in unlabelled], size),
            unlabelled_masks=_masks([part.masks for part in unlabelled], size),
            seen=None if seen is None or np.array_equal(seen, images) else seen,
            views=tuple(self._views(recordings, counts)),
            notes=tuple(notes_on_reading(self._facts(step))),
        )

    def close(self) -> None:
        """Stop the threads that read frames."""
        self._batches.close()

    def _make_method(self, labelled: SiteFrameReader) -> Method:
        site, run, config = self._site, self._run, self.config
        pixels = labelled.class_pixels(len(site.config.classes))
        torch.manual_seed(config.seed)
        nowhere = run or site.root / "runs" / self._verb  # whose card says how it was built
        if isinstance(config, TrainConfig):
            method = METHODS[config.method](context_maker(site, config, nowhere, None)(pixels))
        else:
            teacher = self._teacher()
            classes = len(site.config.classes)
            student = build_initial_network(config, classes, None, root=site.root, run=nowhere)
            assert isinstance(config, DistillConfig)
            method = Distillation(student, pixels, config, load_model(teacher).module)
        return method.to(memory_format=torch.channels_last).to(self._device)

    def _teacher(self) -> Path:
        """Return the site model's run that a distillation learns from."""
        if self._run is None:
            return self._site.newest_finished_run("train")
        stored = self._run / "origin.json"
        given: dict[str, Path | None] = {"teacher": None}
        origins = (
            remember_origins(self._site.root, self._run, given, resume=True)
            if (stored.exists())
            else given
        )
        return origins["teacher"] or self._site.newest_finished_run("train")

    def _footage(self, labelled: SiteFrameReader) -> FrameReader:
        """Return the unlabelled frames, with the labels that the training gives them."""
        site, frames = self._site, self._site.require("unlabelled")
        if self._method is not None and self._method.propagation:
            return PropagatedLabelReader(site, frames, labelled)
        reader = SiteFrameReader(site, frames, self.config.imgsz)
        if (labels := self._stage_labels()) is None:
            return reader
        made = [frame for frame in frames if (labels / f"{frame.id}.png").is_file()]
        return PseudoLabelReader(reader, labels, made) if made else reader

    def _stage_labels(self) -> Path | None:
        """Return the newest folder of pseudo-labels of a method in stages."""
        if self._method is not None or self._run is None:
            return None
        done = self._run.glob("stages/*/done.json")
        newest = max(done, key=lambda path: path.stat().st_mtime, default=None)
        return None if newest is None else newest.parent

    def _restore(self, method: Method) -> None:
        """Load the newest checkpoint of the run, else the weights that it ended with."""
        if self._run is None:
            return
        checkpoints = CheckpointFolder(self._run / "checkpoint")
        try:
            state = checkpoints.look(method)
        except OSError:  # a training that goes on has just replaced it
            state = checkpoints.look(method)
        if state is not None:
            self._at, self._is_trained = state.step, True
            return
        weights = self._run / "weights" / "last.safetensors"
        if weights.is_file():
            for network in (method.student, method.teacher):
                load_weights(network, weights)
            self._is_trained = True
            self._lacks_state = not _is_whole(method)

    def _record(
        self, method: Method, step: int, parts: Sequence[tuple[Batch, Batch | None]]
    ) -> list[Recording]:
        """Return what each pass of a step shows the student, from the state that was restored."""
        progress, cuda = step / self.config.steps, self._device.type == "cuda"
        numbers = torch.get_rng_state(), torch.cuda.get_rng_state() if cuda else None
        method.load_state_dict(self._state)
        method.train()
        recordings = []
        try:
            for part in parts:
                autocast = torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16)
                memory = nullcontext() if self._keeps_activations else without_activations()
                with record_views(method) as recording, autocast, memory:
                    method(*part, progress)
                recordings.append(recording)
        except GradientNeededError:
            self._keeps_activations = True
            torch.set_rng_state(numbers[0])
            if numbers[1] is not None:
                torch.cuda.set_rng_state(numbers[1])
            return self._record(method, step, parts)
        return recordings

    def _views(self, recordings: Sequence[Recording], counts: Sequence[int]) -> list[StudentView]:
        """Return the views of the unlabelled frames, those of all parts joined."""
        if not recordings:
            return []
        number = min(len(recording.views) for recording in recordings)
        views = []
        for place in range(number):
            targets = [recording.views[place][0] for recording in recordings]
            weights = torch.cat([recording.views[place][1] for recording in recordings])
            labels = torch.cat([target.label for target in targets])
            kept = labels.masked_fill(weights <= 0, IGNORE)
            counted = float((kept != IGNORE).float().mean())
            masks = _masks([kept]) if self._is_trained and not self._lacks_state else None
            views.append(StudentView(_images([t.images for t in targets]), masks, counted))
        if views:
            return views
        rest = [
            images[count:]
            for recording, count in zip(recordings, counts)
            for images in recording.images[:1]
            if len(images) > count
        ]
        return [StudentView(_images(rest), None)] if rest else []

    def _taught_by_footage(self, step: int) -> bool:
        if not isinstance(self._method, OnlineMethod):
            return True
        return self._method.schedule.at(step / self.config.steps) > 0

    def _facts(self, step: int) -> ReadingFacts:
        return ReadingFacts(
            step=step,
            method=self._method_name,
            frames=self._frames,
            is_staged=self._method is None,
            checkpoint=self._at,
            is_exact=self._is_exact,
            lacks_state=self._lacks_state,
            is_trained=self._is_trained,
            footage_teaches=self._taught_by_footage(step),
            processes=self.config.devices * self.config.nodes,
            on_gpu=self._device.type == "cuda",
            means_gpu=self._means_gpu,
            may_differ_in_parts=self._may_differ_in_parts,
        )

    @property
    def _is_exact(self) -> bool:
        """Whether the step after the checkpoint is shown to the last bit."""
        is_there = (self._device.type == "cuda") == self._means_gpu
        return self._frames == "same" and is_there and not self._may_differ_in_parts

    @property
    def _may_differ_in_parts(self) -> bool:
        run = self._run
        return bool(self.config.max_memory) and not (run and (run / "parts.json").is_file())


def _is_whole(method: Method) -> bool:
    """Tell whether a method trains or gathers nothing but its student and its teacher."""
    given: tuple[str, ...] = ("student.", "teacher.", "class_weight")
    if isinstance(method, Distillation):
        given += ("source.",)  # the site model, which is loaded
    return all(name.startswith(given) for name in method.state_dict())


def _parts(run: Path | None, config: LoopConfig, shares: BatchShares, *, unlabelled: bool) -> int:
    """Return the forward passes of a step, as the run measured them.

    Where `max_memory` is to be kept and nothing is measured yet, they are as many as can be.
    """
    assumed = config.accumulate
    if config.max_memory:
        assumed = max(
            possible_parts(shares.labelled, [shares.unlabelled] * unlabelled), default=assumed
        )
    try:
        stored = None if run is None else json.loads((run / "parts.json").read_bytes())
        return assumed if stored is None else max(1, int(stored["parts"]))
    except FileNotFoundError:
        return assumed
    except (OSError, ValueError, TypeError, KeyError):
        raise TrainError(f"{run}/parts.json is damaged; start a new run") from None


def _seen(recordings: Sequence[Recording], counts: Sequence[int]) -> Images | None:
    """Return the labelled frames as the student was given them: the first ones of each pass."""
    first = [
        recording.images[0][:count]
        for recording, count in zip(recordings, counts)
        if recording.images
    ]
    return _images(first) if first else None


def _images(parts: Sequence[Tensor], size: tuple[int, ...] = (0, 0)) -> Images:
    """Join (B, 3, H, W) images of 0..1 as (B, H, W, 3) uint8; none of `size` without any."""
    if not parts:
        return np.zeros((0, *size, 3), np.uint8)
    joined = torch.cat(list(parts)).detach().float().clamp(0, 1).mul(255).round()
    return joined.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _masks(parts: Sequence[Tensor], size: tuple[int, ...] = (0, 0)) -> Masks:
    if not parts:
        return np.zeros((0, *size), np.uint8)
    mask: Mask = torch.cat(list(parts)).to(torch.uint8).cpu().numpy()
    return mask
