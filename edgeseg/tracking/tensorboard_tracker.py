"""TensorBoard: event files in the run folder, for every run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from edgeseg.disk.faults import named
from edgeseg.disk.library_paths import library_path
from edgeseg.imaging.array_types import Image


class TensorBoardTracker:
    """Writes `tensorboard/` in the run folder; what a resumed run does again replaces the first."""

    def __init__(self, run: Path) -> None:
        self._folder = run / "tensorboard"
        self._writer: SummaryWriter | None = None
        self._open_paths = ExitStack()

    def log(self, step: int, figures: Mapping[str, float], pictures: Mapping[str, Image]) -> None:
        if self._writer is None:
            self._folder.mkdir(exist_ok=True)
            name = self._open_paths.enter_context(library_path(self._folder))
            self._writer = SummaryWriter(name, purge_step=step)
        with named(self._folder):  # a thread writes, and its faults name no file
            for tag, value in figures.items():
                self._writer.add_scalar(tag, value, step)
            for tag, picture in pictures.items():
                self._writer.add_image(tag, picture, step, dataformats="HWC")

    def close(self, *, finished: bool) -> None:
        with self._open_paths, named(self._folder):
            if self._writer is not None:
                self._writer.close()
