"""Sizes of the check of a GPU: real ones, or those of a rehearsal on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgeseg.config import TrainConfig, validate_config

SMALL_ENCODER = "mobilenetv2_035"


@dataclass(frozen=True)
class Settings:
    """What every measurement is given.

    Attributes:
        rehearse: Whether the CPU stands in for the GPU, at sizes whose figures mean nothing.
        folder: Where sites and runs go.
    """

    rehearse: bool
    folder: Path

    @property
    def device(self) -> torch.device:
        """The GPU, or what stands in for it."""
        return torch.device("cpu" if self.rehearse else "cuda")

    @property
    def side(self) -> int:
        """Height and width of the frames whose throughput is measured."""
        return 64 if self.rehearse else 512

    def small_config(self, device: str, **changes: Any) -> TrainConfig:  # Any: settings' values
        """A training of seconds on the small site, in float32."""
        small = {
            "encoder": SMALL_ENCODER,
            "weights": "none",
            "imgsz": [64, 64],
            "batch": 2,
            "batch_unlabelled": 2,
            "rep_dim": 16,
            "workers": 1,
            "precision": "32",
            "device": device,
        }
        return validate_config(TrainConfig, small | changes, "gpu_check")
