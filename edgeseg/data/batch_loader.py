"""Batches of frames in an order that depends on the seed and the step alone.

A resumed run therefore sees the very same batches as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeseg.data.frame_reader import FrameReader
from edgeseg.imaging.array_types import Image, Mask
from edgeseg.imaging.frame_fit import Box


@dataclass(frozen=True)
class RawBatch:
    """Frames as they were read.

    Attributes:
        images: (B, H, W, 3) uint8 RGB.
        masks: (B, H, W) uint8, 255 = ignore; all 255 for unlabelled frames.
        names: The frames' ids, for error messages.
        inside: (B, 4) float32: the first and last row, first and last column at which an image
            shows its frame and no padding, as shares of its sides; None where there is no padding.
    """

    images: Tensor
    masks: Tensor
    names: tuple[str, ...]
    inside: Tensor | None = None


class BatchOrder:
    """The frames of every step's batch: shuffled epochs, a function of seed and step only.

    Without `focus`, batches are consecutive pieces of an endless list: all frames shuffled, all
    frames shuffled anew, and so on. With 5 frames and batches of 2, step 2 takes the positions 4
    and 5 of that list: position 4 is `divmod(4, 5)` = epoch 0, place 4, the last of the first
    shuffle; position 5 is epoch 1, place 0, the first of the second.

    With `focus`, every second place of a batch is drawn from the focus frames, which have a list of
    their own. With batches of 3, step 2 takes the positions 4 and 5 of the list of all frames (2 a
    step), and position 2 of the list of focus frames (1 a step).
    """

    ALL, FOCUS = 0, 1  # the random streams that shuffle the two lists

    def __init__(self, length: int, batch: int, seed: int, focus: Sequence[int] = ()) -> None:
        """Set up the order of `length` frames.

        Args:
            focus: Indices of the frames that fill every second place.
        """
        self._all = np.arange(length)
        self._batch, self._seed = batch, seed
        self._focus = np.asarray(focus, np.int64)
        self._shuffled: dict[tuple[int, int], NDArray[np.int64]] = {}  # by epoch and stream

    def indices(self, step: int) -> list[int]:
        """Return the indices of the frames for `step`, counted from 0."""
        from_focus = self._batch // 2 if len(self._focus) else 0
        from_all = self._batch - from_focus
        return [
            self._pick(self._all, step * from_all + place, self.ALL) for place in range(from_all)
        ] + [
            self._pick(self._focus, step * from_focus + place, self.FOCUS)
            for place in range(from_focus)
        ]

    def _pick(self, frames: NDArray[np.int64], position: int, stream: int) -> int:
        epoch, place = divmod(position, len(frames))
        if (epoch, stream) not in self._shuffled:
            recent = {key: order for key, order in self._shuffled.items() if key[0] >= epoch - 1}
            random = np.random.default_rng([self._seed, epoch, stream])
            self._shuffled = {**recent, (epoch, stream): random.permutation(frames)}
        return int(self._shuffled[epoch, stream][place])


class BatchLoader:
    """Batches by step number, the next one read by threads while the current one trains.

    With several processes, each takes its own part of the same order.
    """

    def __init__(
        self,
        reader: FrameReader,
        batch: int,
        seed: int,
        *,
        workers: int,
        rank: int = 0,
        world: int = 1,
        focus: frozenset[str] = frozenset(),
    ) -> None:
        """Start the threads.

        Args:
            batch: Frames in a batch of this process.
            workers: Number of threads.
            rank: This process among the `world` that train together.
            focus: Ids of frames that fill every second place, see `BatchOrder`.
        """
        focus_indices = [index for index, frame in enumerate(reader.frames) if frame.id in focus]
        self._reader, self._batch, self._rank = reader, batch, rank
        self._order = BatchOrder(len(reader), batch * world, seed, focus_indices)
        self._threads = ThreadPoolExecutor(workers)
        self._requested: dict[int, list[Future[tuple[Image, Mask]]]] = {}  # by step

    def batch(self, step: int) -> RawBatch:
        """Return the batch of `step`, and have the next one read meanwhile.

        Raises:
            DataError: A frame cannot be read.
        """
        pending = self._requested.pop(step, None) or self._request(step)
        self._requested = {step + 1: self._request(step + 1)}
        images, masks = zip(*(future.result() for future in pending))
        indices = self._own_indices(step)
        names = tuple(self._reader.frames[index].id for index in indices)
        size = images[0].shape[:2]
        return RawBatch(
            torch.from_numpy(np.stack(images)),
            torch.from_numpy(np.stack(masks)),
            names,
            _shares_inside([self._reader.inside(index) for index in indices], size),
        )

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _own_indices(self, step: int) -> list[int]:
        """Return the part of a step's frames that this process reads.

        With 2 processes and batches of 3, process 1 takes the places 3 to 5 of the 6.
        """
        first = self._rank * self._batch
        return self._order.indices(step)[first : first + self._batch]

    def _request(self, step: int) -> list[Future[tuple[Image, Mask]]]:
        return [
            self._threads.submit(self._reader.__getitem__, index)
            for index in self._own_indices(step)
        ]


def _shares_inside(boxes: Sequence[Box | None], size: tuple[int, ...]) -> Tensor | None:
    """Return `RawBatch.inside`: rows 16 to 47 of 64 and all columns are 0.25, 0.75, 0, 1."""
    if all(box is None for box in boxes):
        return None
    height, width = size
    return torch.tensor(
        [
            (0.0, 1.0, 0.0, 1.0)
            if box is None
            else (
                box.top / height,
                (box.top + box.height) / height,
                box.left / width,
                (box.left + box.width) / width,
            )
            for box in boxes
        ]
    )
