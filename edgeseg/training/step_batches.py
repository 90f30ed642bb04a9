"""The batches of every training step, augmented and split for gradient accumulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch

from edgeseg.config import LoopConfig
from edgeseg.data.augment import weak_augment
from edgeseg.data.batch_loader import BatchLoader, RawBatch
from edgeseg.data.frame_reader import FrameReader
from edgeseg.methods import Batch
from edgeseg.training.devices import BatchShares


@dataclass(frozen=True)
class TrainingFrames:
    """The frames that a training reads.

    Attributes:
        labelled: Frames with masks.
        unlabelled: Frames without, or with pseudo-labels; None if the method takes none.
        focus: Ids of unlabelled frames that make up half of every unlabelled batch.
    """

    labelled: FrameReader
    unlabelled: FrameReader | None
    focus: frozenset[str] = frozenset()


class ProcessPlace(Protocol):
    """This process among those that train together, as `edgeseg.training.devices.Devices` is."""

    @property
    def device(self) -> torch.device: ...

    @property
    def rank(self) -> int: ...

    @property
    def world_size(self) -> int: ...


class StepBatch(NamedTuple):
    """The frames of one step.

    Attributes:
        parts: Labelled and unlabelled frames of each forward pass; None for a method that takes no
            unlabelled ones.
        frames: The ids of all frames.
    """

    parts: list[tuple[Batch, Batch | None]]
    frames: tuple[str, ...]


class StepBatches:
    """The batches of a process by step number.

    Which frames they hold depends on the seed and the step alone; the augmentation draws from
    torch's random generator.
    """

    def __init__(
        self,
        frames: TrainingFrames,
        config: LoopConfig,
        shares: BatchShares,
        devices: ProcessPlace,
        parts: int,
    ) -> None:
        """Start the threads that read frames; `parts` is the number of forward passes a step."""
        self._device, self._scale, self._parts = devices.device, config.scale, parts
        self._labelled = BatchLoader(
            frames.labelled,
            shares.labelled,
            config.seed,
            workers=config.workers,
            rank=devices.rank,
            world=devices.world_size,
        )
        self._unlabelled: BatchLoader | None = None
        if frames.unlabelled is not None:
            self._unlabelled = BatchLoader(
                frames.unlabelled,
                shares.unlabelled,
                config.seed + 1,
                workers=config.workers,
                rank=devices.rank,
                world=devices.world_size,
                focus=frames.focus,
            )

    def read(self, step: int) -> StepBatch:
        """Return the batch of `step`, and let the next one be read meanwhile.

        Raises:
            DataError: a frame cannot be read.
        """
        labelled = self._labelled.batch(step)
        if self._unlabelled is None:
            parts = [(part, None) for part in self._augmented_parts(labelled)]
            return StepBatch([*parts], labelled.names)
        unlabelled = self._unlabelled.batch(step)
        pairs = zip(self._augmented_parts(labelled), self._augmented_parts(unlabelled), strict=True)
        return StepBatch([*pairs], labelled.names + unlabelled.names)

    def close(self) -> None:
        """Stop the threads."""
        self._labelled.close()
        if self._unlabelled is not None:
            self._unlabelled.close()

    def _augmented_parts(self, raw: RawBatch) -> list[Batch]:
        """The weak augmentation of a batch on the device, split into parts of equal size."""
        images, masks = raw.images.to(self._device), raw.masks.to(self._device)
        inside = None if raw.inside is None else raw.inside.to(self._device)
        augmented = Batch(*weak_augment(images, masks, self._scale, inside))
        return [Batch(*part) for part in zip(*(tensor.chunk(self._parts) for tensor in augmented))]
