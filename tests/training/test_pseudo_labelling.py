"""Pseudo-labels say nothing about the padding of letterboxed frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edgeseg.imaging.array_types import IGNORE, Image, Mask
from edgeseg.imaging.frame_fit import Box
from edgeseg.imaging.mask_png import read_mask
from edgeseg.models import build_network
from edgeseg.progress import NullReporter
from edgeseg.training.stages.pseudo_labelling import write_pseudo_labels
from tests.data.test_frame_shapes import frame


class Letterboxed:
    """A landscape frame, then one of the input's own shape."""

    frames = (frame(32, 64), frame(64, 64))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Image, Mask]:
        return np.full((64, 64, 3), 115, np.uint8), np.full((64, 64), IGNORE, np.uint8)

    def inside(self, index: int) -> Box | None:
        return None if index else Box(16, 0, 32, 64)


def test_the_padding_has_no_class(tmp_path: Path) -> None:
    reader = Letterboxed()
    network = build_network("fpn", "mobilenetv2_035", 3, "none", size=(64, 64)).eval()
    write_pseudo_labels(
        network,
        reader,
        list(reader.frames),
        tmp_path,
        views=1,
        device=torch.device("cpu"),
        report=NullReporter(),
    )
    wide, square = (read_mask(tmp_path / f"{frame.id}.png") for frame in reader.frames)
    outside = np.ones((64, 64), bool)
    outside[16:48] = False
    assert ((wide == IGNORE) == outside).all() and not (square == IGNORE).any()
