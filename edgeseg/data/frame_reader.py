"""Readers of the frames that training sees, at training size and decoded once.

Who writes them into the site is `edgeseg.data.ingest.site_writer`; who makes batches of them is
`edgeseg.data.batch_loader`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from edgeseg.data.frame_cache import FrameCache, open_cache
from edgeseg.errors import DataError
from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.frame_fit import Box, FrameFit, fit_frame
from edgeseg.imaging.image_codec import read_image
from edgeseg.imaging.mask_png import read_mask
from edgeseg.progress import NullReporter, ProgressReporter
from edgeseg.site import Frame, Site

# bytes of decoded frames kept where there is no cache; beyond it frames are read again
MEMORY_BUDGET = 3_000_000_000


def read_site_frame(site: Site, frame: Frame) -> tuple[Image, Mask | None]:
    """Read a frame's image, (H, W, 3) RGB, and its mask, (H, W), at their own size.

    Raises:
        DataError: A file is missing or damaged, the sizes differ, or the mask holds a class that
            the site does not have.
    """
    image_path = site.path(frame.image)
    rgb = read_image(image_path)
    if rgb is None:
        raise DataError(
            f"{image_path} is missing or damaged; add the footage again with `edgeseg add footage`"
        )
    if rgb.shape[:2] != (frame.height, frame.width):
        raise DataError(
            f"{image_path} is {rgb.shape[1]}x{rgb.shape[0]} and was {frame.width}x{frame.height} "
            "when it was added; restore it, or delete it and add the footage again"
        )
    if frame.mask is None:
        return rgb, None
    mask_path = site.path(frame.mask)
    unusable = "is missing, damaged or of the wrong size; add the labels again"
    mask = read_mask(mask_path, fault=unusable)
    if mask.shape != rgb.shape[:2]:
        raise DataError(f"{mask_path} {unusable}")
    highest = int(mask[mask != IGNORE].max(initial=0))
    classes = len(site.config.classes)
    if highest >= classes:
        raise DataError(
            f"{mask_path} holds class {highest} but the site has {classes} classes; "
            "correct [[classes]] in edgeseg.toml or add the labels again"
        )
    return rgb, mask


class FrameReader(Protocol):
    """Frames at training size, by their place in a list."""

    @property
    def frames(self) -> Sequence[Frame]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Image, Mask]:
        """Return image, (H, W, 3) uint8 RGB, and mask, (H, W) uint8; both are read-only."""

    def inside(self, index: int) -> Box | None:
        """Return the part of the image that shows the frame; None where that is all of it."""


class SiteFrameReader:
    """The frames of a site's split, decoded once.

    They are kept in the site's cache, or where there is no room for that, in memory as far as a
    budget goes.
    """

    def __init__(
        self,
        site: Site,
        frames: Sequence[Frame],
        size: tuple[int, int],
        memory: int = MEMORY_BUDGET,
        report: ProgressReporter | None = None,
    ) -> None:
        """Open the cache.

        Args:
            size: Height and width in training.
            memory: Bytes of frames kept in memory where the cache cannot take them.
            report: Told once why frames are not cached, if they are not.
        """
        self._site = site
        self.frames = list(frames)
        self.size = size
        self._memory_left = memory
        self._in_memory: dict[int, tuple[Image, Mask]] = {}
        self._report = report or NullReporter()
        self._cache: FrameCache | None = None
        self._cache_takes_frames = False
        if site.config.data.cache_bytes:
            try:
                self._cache = open_cache(site, self.frames, size, self._mask_sources())
                self._cache_takes_frames = True
            except DataError as error:
                self._stop_caching(str(error))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[Image, Mask]:
        """See `FrameReader`; the mask of a frame without one is what `_make_mask` returns."""
        known = self._in_memory.get(index) or (self._cache and self._cache.get(index))
        if known:
            return known
        image, mask = read_site_frame(self._site, self.frames[index])
        fit = self._fit(index)
        image = fit.image(image)
        mask = self._make_mask(image) if mask is None else fit.mask(mask)
        size = image.nbytes + mask.nbytes
        if not self._put_into_cache(index, image, mask) and self._memory_left >= size:
            self._memory_left -= size
            self._in_memory[index] = image, mask
        return image, mask

    def inside(self, index: int) -> Box | None:
        """See `FrameReader`."""
        fit = self._fit(index)
        return fit.inside if fit.pads else None

    def _fit(self, index: int) -> FrameFit:
        frame = self.frames[index]
        return fit_frame(self._site.config.data.fit, (frame.height, frame.width), self.size)

    def _mask_sources(self) -> Sequence[Frame]:
        """The frames whose labels `_make_mask` uses; when they change, masks are made anew."""
        return ()

    def _make_mask(self, image: Image) -> Mask:
        """Return the mask (H, W) of a frame without one, `image` (H, W, 3): nothing is known."""
        return np.full(self.size, IGNORE, np.uint8)

    def class_pixels(self, classes: int) -> Tensor:
        """Count the labelled pixels of each class over all frames, (C,) int64."""
        counts = np.zeros(256, np.int64)
        for index in range(len(self)):
            counts += np.bincount(self[index][1].ravel(), minlength=256)
        return torch.from_numpy(counts[:classes])

    def _put_into_cache(self, index: int, image: Image, mask: Mask) -> bool:
        if self._cache is None or not self._cache_takes_frames:
            return False
        try:
            self._cache.put(index, image, mask)
        except OSError as error:
            if self._cache_takes_frames:  # else another thread has said so meanwhile
                self._stop_caching(
                    f"{self._site.root} cannot be written to ({error.strerror}); make room"
                )
            return False
        return True

    def _stop_caching(self, reason: str) -> None:
        self._cache_takes_frames = False
        splits = "/".join(sorted({frame.split for frame in self.frames}))
        self._report.say(f"{splits} frames are kept in memory, not in cache/: {reason}")


class PseudoLabelReader:
    """Frames of another reader with masks from a folder, such as pseudo-labels.

    Its masks are `folder/<frame id>.png` at training size.
    """

    def __init__(self, reader: FrameReader, folder: Path, frames: Sequence[Frame]) -> None:
        """Take those frames of `reader` that are in `frames`, in the order of `reader`."""
        labelled = {frame.id for frame in frames}
        self._indices = [index for index, frame in enumerate(reader.frames) if frame.id in labelled]
        self._reader, self._folder = reader, folder
        self.frames = [reader.frames[index] for index in self._indices]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Image, Mask]:
        """See `FrameReader`."""
        image, _ = self._reader[self._indices[index]]
        return image, read_pseudo_label(self._folder, self.frames[index])

    def inside(self, index: int) -> Box | None:
        """See `FrameReader`."""
        return self._reader.inside(self._indices[index])


def read_pseudo_label(folder: Path, frame: Frame) -> Mask:
    """Read the mask that a stage of training wrote for a frame, (H, W) uint8 class ids.

    Raises:
        DataError: The file is missing or damaged.
    """
    fault = "is missing or damaged; delete its folder and run again with --resume"
    return read_mask(folder / f"{frame.id}.png", fault=fault)
