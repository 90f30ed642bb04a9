"""What training reads: frames at training size, decoded once and cached, in an order that depends
on the seed and the step alone, so that a resumed run sees the very same batches."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeseg.data.frame_cache import FrameCache, open_cache
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Image
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Frame, Site

# bytes of decoded frames kept where there is no cache; beyond it frames are read again
MEMORY = 3_000_000_000


@dataclass(frozen=True)
class RawBatch:
    """Frames as they were read.

    Attributes:
        images: (B, H, W, 3) uint8 RGB.
        masks: (B, H, W) uint8, 255 = ignore; all 255 for unlabelled frames.
        names: the frames' ids, for error messages.
    """

    images: Tensor
    masks: Tensor
    names: tuple[str, ...]


def read_site_frame(site: Site, frame: Frame) -> tuple[Image, Image | None]:
    """Image (H, W, 3) RGB and mask (H, W), at their own size.

    Raises:
        DataError: a file is missing or damaged, or the sizes differ.
    """
    image = cv2.imread(str(site.path(frame.image)), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(
            f"{site.path(frame.image)} is missing or damaged; add the footage again with `edgeseg add footage`"
        )
    mask = None
    if frame.mask is not None:
        mask = cv2.imread(str(site.path(frame.mask)), cv2.IMREAD_UNCHANGED)
        if mask is None or mask.ndim != 2 or mask.shape != image.shape[:2]:
            raise DataError(
                f"{site.path(frame.mask)} is missing, damaged or of the wrong size; add the labels again"
            )
        highest = int(mask[mask != IGNORE].max(initial=0))
        if highest >= len(site.config.classes):
            raise DataError(
                f"{site.path(frame.mask)} holds class {highest} but the site has {len(site.config.classes)} classes; "
                "correct [[classes]] in edgeseg.toml or add the labels again"
            )
    return np.ascontiguousarray(image[..., ::-1]), None if mask is None else mask.astype(np.uint8)


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """To (height, width): by area when shrinking, which does not alias, else bilinear."""
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    resized = cv2.resize(
        image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return np.asarray(resized, np.uint8)


def resize_mask(mask: Image, size: tuple[int, int]) -> Image:
    """To (height, width) by nearest neighbor."""
    if mask.shape == size:
        return mask
    return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


class SiteFrameReader:
    """Frames of one split at training size, decoded once: into the site's cache, or where there is
    no room for that, into memory as far as a budget goes."""

    def __init__(
        self,
        site: Site,
        frames: Sequence[Frame],
        size: tuple[int, int],
        memory: int = MEMORY,
        report: ProgressReporter | None = None,
    ) -> None:
        """Open the cache.

        Args:
            report: told once why frames are not cached, if they are not.
        """
        self._site = site
        self.frames = list(frames)
        self._size = size
        self._left = memory
        self._kept: dict[int, tuple[Image, Image]] = {}
        self._report = report or NullReporter()
        self._cache: FrameCache | None = None
        self._writes = False
        if site.config.data.cache_bytes:
            try:
                self._cache = open_cache(site, self.frames, size)
                self._writes = True
            except DataError as error:
                self._stop_writing(str(error))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[Image, Image]:
        """(H, W, 3) uint8 RGB and (H, W) uint8 at training size, not to be written to."""
        kept = self._kept.get(index) or (self._cache and self._cache.get(index))
        if kept:
            return kept
        image, mask = read_site_frame(self._site, self.frames[index])
        image = resize_image(image, self._size)
        mask = (
            np.full(self._size, IGNORE, np.uint8) if mask is None else resize_mask(mask, self._size)
        )
        if not self._store(index, image, mask) and self._left >= image.nbytes + mask.nbytes:
            self._left -= image.nbytes + mask.nbytes
            self._kept[index] = image, mask
        return image, mask

    def _store(self, index: int, image: Image, mask: Image) -> bool:
        if self._cache is None or not self._writes:
            return False
        try:
            self._cache.put(index, image, mask)
        except OSError as error:
            if self._writes:
                self._stop_writing(
                    f"{self._site.root} cannot be written to ({error.strerror}); make room"
                )
            return False
        return True

    def _stop_writing(self, why: str) -> None:
        self._writes = False
        splits = "/".join(sorted({frame.split for frame in self.frames}))
        self._report.say(f"{splits} frames are kept in memory, not in cache/: {why}")

    def class_pixels(self, classes: int) -> Tensor:
        """(C,) int64: labelled pixels of each class over all frames."""
        counts = np.zeros(256, np.int64)
        for index in range(len(self)):
            counts += np.bincount(self[index][1].ravel(), minlength=256)
        return torch.from_numpy(counts[:classes])


class FrameReader(Protocol):
    """Frames at training size, by place."""

    @property
    def frames(self) -> Sequence[Frame]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Image, Image]:
        """(H, W, 3) uint8 RGB and (H, W) uint8."""


class PseudoLabelReader:
    """The frames of another store with masks of their own, such as pseudo-labels; only those that
    have one.
    """

    def __init__(self, store: FrameReader, folder: Path, frames: Sequence[Frame]) -> None:
        """Take masks `folder/<frame id>.png` at training size for the given frames of `store`."""
        wanted = {frame.id for frame in frames}
        self._places = [place for place, frame in enumerate(store.frames) if frame.id in wanted]
        self._store, self._folder = store, folder
        self.frames = [store.frames[place] for place in self._places]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> tuple[Image, Image]:
        return self._store[self._places[index]][0], read_mask(
            self._folder / f"{self.frames[index].id}.png"
        )


def read_mask(path: Path) -> Image:
    """(H, W) uint8 class ids that edgeseg wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.ndim != 2:
        raise DataError(
            f"{path} is missing or damaged; delete its folder and run again with --resume"
        )
    return np.asarray(mask, np.uint8)


class BatchOrder:
    """Which frames make up the batch of a step: epochs of shuffled frames, a function of seed and
    step only.

    With `focus`, every second place of a batch is drawn from those frames.
    """

    def __init__(self, length: int, batch: int, seed: int, focus: Sequence[int] = ()) -> None:
        self._length, self._batch, self._seed = length, batch, seed
        self._focus = np.asarray(focus, np.int64)
        self._epochs: dict[tuple[int, int], NDArray[np.int64]] = {}

    def indices(self, step: int) -> list[int]:
        """Places in the list of frames for `step`, counted from 0."""
        everyone = np.arange(self._length)
        if not len(self._focus):
            return [
                self._pick(everyone, step * self._batch + place, 0) for place in range(self._batch)
            ]
        near = self._batch // 2
        first = [
            self._pick(everyone, step * (self._batch - near) + place, 0)
            for place in range(self._batch - near)
        ]
        return first + [self._pick(self._focus, step * near + place, 1) for place in range(near)]

    def _pick(self, pool: NDArray[np.int64], position: int, stream: int) -> int:
        epoch, place = divmod(position, len(pool))
        if (epoch, stream) not in self._epochs:
            self._epochs = {key: kept for key, kept in self._epochs.items() if key[0] >= epoch - 1}
            self._epochs[epoch, stream] = np.random.default_rng(
                [self._seed, epoch, stream]
            ).permutation(pool)
        return int(self._epochs[epoch, stream][place])


class BatchLoader:
    """Batches by step number, the next one read by threads while the current one trains.

    With several processes (`world`), each takes its own part of the same order.
    """

    def __init__(
        self,
        store: FrameReader,
        batch: int,
        seed: int,
        *,
        workers: int,
        rank: int = 0,
        world: int = 1,
        focus: frozenset[str] = frozenset(),
    ) -> None:
        places = [index for index, frame in enumerate(store.frames) if frame.id in focus]
        self._store, self._batch, self._rank = store, batch, rank
        self._order = BatchOrder(len(store), batch * world, seed, places)
        self._threads = ThreadPoolExecutor(workers)
        self._ahead: dict[int, list[Future[tuple[Image, Image]]]] = {}

    def batch(self, step: int) -> RawBatch:
        """The batch of `step`.

        Raises:
            DataError: a frame cannot be read.
        """
        pending = self._ahead.pop(step, None) or self._request(step)
        self._ahead = {step + 1: self._request(step + 1)}
        images, masks = zip(*(future.result() for future in pending))
        names = tuple(self._store.frames[index].id for index in self._mine(step))
        return RawBatch(
            torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(masks)), names
        )

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _mine(self, step: int) -> list[int]:
        return self._order.indices(step)[self._rank * self._batch : (self._rank + 1) * self._batch]

    def _request(self, step: int) -> list[Future[tuple[Image, Image]]]:
        return [self._threads.submit(self._store.__getitem__, index) for index in self._mine(step)]
