"""Small networks and batches for tests of training methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file

from edgeseg.config import Section, TrainConfig, validate_config
from edgeseg.methods import Batch, MethodContext
from edgeseg.models import Network, build_network
from tests.helpers.sites import COLORS, TINY

LANDSCAPE = TINY | {"encoder": "mobilenetv2_050", "imgsz": [64, 96]}


def landscape_config(**changes: object) -> TrainConfig:
    """Settings of a run of seconds on the frames of `tests.helpers.exporting`, 64 by 96."""
    return validate_config(TrainConfig, LANDSCAPE | changes, "test")


def config(**changes: object) -> TrainConfig:
    """Of a run that takes seconds."""
    return validate_config(TrainConfig, TINY | changes, "test")


def method_context(
    classes: int, pixels: torch.Tensor | None = None, **changes: object
) -> MethodContext:
    """The parts of a method for a small network with a representation head."""
    settings = config(**changes)

    def network() -> Network:
        return build_network(settings.arch, settings.encoder, classes, "none", settings.rep_dim)

    return MethodContext(
        network(), torch.ones(classes) if pixels is None else pixels, settings, network
    )


class Spy:
    """A configuration that notes which of its keys are read, by dotted name."""

    def __init__(self, config: Section, read: set[str], table: str = "") -> None:
        self._config, self._read, self._table = config, read, table

    def __getattr__(self, name: str) -> Any:  # Any: values of every kind
        value = getattr(self._config, name)
        if isinstance(value, Section):
            return Spy(value, self._read, f"{self._table}{name}.")
        self._read.add(f"{self._table}{name}")
        return value


def spied_context(context: MethodContext, read: set[str]) -> MethodContext:
    """The context, whose configuration notes in `read` what is read of it."""
    return replace(context, config=cast(TrainConfig, Spy(context.config, read)))


def batch(
    number: int, classes: int, *, seed: int = 0, size: int = 64, labelled: bool = True
) -> Batch:
    """Frames of colored rectangles, one color a class; without `labelled`, masks of 255."""
    rng = np.random.default_rng(seed)
    colors = (
        rng.integers(0, 256, (classes, 3))
        if classes > len(COLORS)
        else np.asarray(COLORS[:classes])
    )
    masks = np.zeros((number, size, size), np.int64)
    for mask in masks:
        for name in range(1, classes):
            top, left = rng.integers(0, size // 2, 2)
            mask[top : top + size // 3, left : left + size // 3] = name
    images = torch.from_numpy(colors[masks].astype(np.float32) / 255).permute(0, 3, 1, 2)
    noisy = (images + 0.05 * torch.from_numpy(rng.normal(size=tuple(images.shape))).float()).clamp(
        0, 1
    )
    truth = torch.from_numpy(masks)
    everywhere = torch.ones_like(truth, dtype=torch.bool)
    return Batch(noisy, truth if labelled else torch.full_like(truth, 255), everywhere)


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The last weights of a run."""
    return load_file(run / "weights" / "last.safetensors")


def same(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same weights, bit for bit."""
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(
        torch.equal(mine[name], theirs[name]) for name in mine
    )
