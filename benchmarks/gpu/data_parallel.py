"""Training through torch's data-parallel wrapper with one process, beside training without it."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from benchmarks.gpu.findings import Finding
from benchmarks.gpu.isolation import Part
from benchmarks.gpu.scene import small_site
from benchmarks.gpu.settings import Settings
from edgeseg.config import TrainConfig
from edgeseg.training.devices import Devices, data_parallel_strategy
from edgeseg.training.train import train

# Relative to numbers above 1. AdamW moves a weight by its learning rate, 1e-3 at most, whatever the
# size of its gradient: one that is 0 but for the order of a sum moves it either way.
STEPS, TOLERANCE = 4, 1e-2


def measure(item: str, settings: Settings) -> Finding:
    """Train a method with and without the wrapper; losses and weights must be alike."""
    site = small_site(settings.folder / "small-site")
    config = settings.small_config(settings.device.type, method=item, steps=STEPS, eval_every=STEPS)
    folder = settings.folder / f"ddp-{item}"
    plain = train(site, config, folder / "plain").path
    devices = _launch(config)
    with mock.patch.object(Devices, "launch", lambda _: devices):
        wrapped = train(site, config, folder / "wrapped").path
    return compare(plain, wrapped, str(torch.distributed.get_backend()))


def _launch(config: TrainConfig) -> Devices:
    """One process that averages its gradients with itself, as several would."""
    fabric = Fabric(accelerator=config.device, devices=1, strategy=data_parallel_strategy())
    fabric.launch()
    return Devices(fabric, bf16=False)


def compare(plain: Path, wrapped: Path, backend: str) -> Finding:
    """Hold the weights of two runs against each other."""
    one, other = (load_file(run / "weights" / "last.safetensors") for run in (plain, wrapped))
    difference = max(
        float(((one[name] - other[name]).abs() / one[name].abs().clamp(min=1)).max())
        for name in one
    )
    same = "the same weights, bit for bit" if difference == 0 else f"off by {difference:.1e}"
    figures = {"difference": difference, "backend": backend}
    return Finding(difference <= TOLERANCE, f"through {backend}: {same}", figures)


PART = Part("ddp", lambda settings: ["cutmix_mt"], measure, seconds=15)
