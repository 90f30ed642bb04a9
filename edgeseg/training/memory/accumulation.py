"""Gradient accumulation: in how many parts a process takes its share of a batch."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from edgeseg.atomic_files import write_json
from edgeseg.config import LoopConfig
from edgeseg.distributed import all_gather
from edgeseg.methods import Batch, Method
from edgeseg.training.devices import BatchShares, Devices
from edgeseg.training.memory.budget import parse_bytes, plan_accumulation
from edgeseg.training.memory.measurement import measure_step


def accumulation_parts(
    run: Path, method: Method, config: LoopConfig, shares: BatchShares, devices: Devices
) -> int:
    """Return the number of parts: `accumulate`, or with `max_memory` the fewest that keep to it.

    The number that was measured is stored in the run folder, so that a resumed run takes what it
    began with.

    Args:
        run: The run folder.
        method: The method on its device, before the first step.
        config: Says how large the frames are and what is asked for.
        shares: Frames of a step that this process takes.
        devices: Where the method runs.

    Raises:
        TrainError: not even the smallest parts fit.
    """
    if not config.max_memory:
        return config.accumulate
    stored = run / "parts.json"
    if stored.exists():
        return int(json.loads(stored.read_bytes())["parts"])

    budget = parse_bytes(config.max_memory)
    measure = partial(step_peak, method, config, shares, devices)
    plan = plan_accumulation(measure, shares.labelled, budget, [shares.unlabelled])
    # As many on every device: the one that needs most decides.
    parts = int(all_gather(torch.tensor(plan.parts, device=devices.device)).max())
    frames = shares.labelled // parts
    write_json(stored, {"parts": parts, "frames": frames, "max_memory": config.max_memory})
    return parts


def step_peak(
    method: Method, config: LoopConfig, shares: BatchShares, devices: Devices, labelled: int
) -> int:
    """Return the peak bytes of a step with so many labelled frames, and their share of the others.

    Args:
        method: The method on its device, before the first step.
        config: Says how large the frames are.
        shares: Frames of a whole step.
        devices: Where the method runs.
        labelled: Number of labelled frames.

    Raises:
        MemoryError: The GPU has not that much.
    """
    unlabelled = max(1, shares.unlabelled * labelled // shares.labelled)

    def step() -> Tensor:
        batches = [
            _random_batch(frames, config.imgsz, devices.device) for frames in (labelled, unlabelled)
        ]
        with devices.autocast():
            loss: Tensor = method(*batches, 1.0).loss  # at the end, when every loss counts
        return loss

    return measure_step(step, devices.device, method)


def _random_batch(frames: int, size: tuple[int, int], device: torch.device) -> Batch:
    """A batch of noise, labelled as class 0, at (height, width)."""
    masks = torch.zeros(frames, *size, dtype=torch.int64, device=device)
    images = torch.rand(frames, 3, *size, device=device)
    return Batch(images, masks, torch.ones_like(masks, dtype=torch.bool))
