"""Images a second of whole training steps, and their peak memory beside what the planner said.

Frames lie on the device already, so what is timed is forward and backward pass, the optimizer and
the moving average, in the batches of `BATCH`, at the end of a training, when every loss counts.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence

import torch

from benchmarks.gpu.findings import Finding
from benchmarks.gpu.isolation import Part
from benchmarks.gpu.scene import CLASSES, noise_batch
from benchmarks.gpu.settings import SMALL_ENCODER, Settings
from edgeseg.config import TrainConfig, validate_config
from edgeseg.methods import METHODS, Method, MethodContext, needs_representation
from edgeseg.models import Network, build_network
from edgeseg.training.devices import Devices, share_batches
from edgeseg.training.memory.accumulation import step_peak
from edgeseg.training.memory.budget import SAFETY_FACTOR, predicted_peak
from edgeseg.training.optimizer import clip_gradients, make_optimizer, require_finite

TIMED = ("cutmix_mt", "u2pl", "unimatch_v2")
NETWORKS = {  # decoder and encoder
    "resnet50": ("deeplabv3plus", "resnet50"),
    "vit_small": ("dpt", "vit_small_patch16_224"),
}
REHEARSED = {
    "resnet50": ("deeplabv3plus", SMALL_ENCODER),
    "vit_small": ("dpt", "vit_tiny_patch16_224"),
}
PLANNED_FROM = (2, 4)  # labelled frames of the steps that the planner measures
# labelled frames, and as many unlabelled ones
BATCH, REHEARSED_BATCH = 8, 4
WARM_UP_STEPS, SECONDS = 3, 4.0


def items(settings: Settings) -> Sequence[str]:
    """Method, network and precision of each measurement."""
    if settings.rehearse:
        return ["cutmix_mt resnet50 bf16", "cutmix_mt vit_small 32"]
    return [
        f"{method} {network} {precision}"
        for method in TIMED
        for network in NETWORKS
        for precision in ("bf16", "32")
    ]


def measure(item: str, settings: Settings) -> Finding:
    """Time steps of a method with a network in a precision."""
    name, network, precision = item.split()
    config = _config(name, network, precision, settings)
    devices = Devices.launch(config)
    method = _build(config).to(memory_format=torch.channels_last).to(devices.device).train()
    shares = share_batches(config, 1)
    measured = [step_peak(method, config, shares, devices, frames) for frames in PLANNED_FROM]
    predicted = predicted_peak(PLANNED_FROM, measured, config.batch)
    step = _training_step(method, config, devices)
    seconds, peak = _time(step, devices.device, settings)
    if settings.rehearse:  # a CPU tells no peak: the planner's own of the whole batch stands for it
        peak = step_peak(method, config, shares, devices, config.batch)
    del method, step
    gc.collect()
    off = 100 * (peak / predicted - 1)
    rate = 2 * config.batch / seconds
    text = (
        f"{rate:.1f} images/s, {1000 * seconds:.1f} ms a step, peak {peak / 1e9:.2f} GB, "
        f"{off:+.1f} % of the planner's {predicted / 1e9:.2f} GB"
    )
    figures = {
        "images_per_second": rate,
        "step_ms": 1000 * seconds,
        "peak_bytes": peak,
        "predicted_bytes": predicted,
        "peak_off_percent": off,
        "batch": [config.batch, config.batch_unlabelled],
        "size": [settings.side, settings.side],
    }
    return Finding(peak <= SAFETY_FACTOR * predicted, text, figures)


def _config(name: str, network: str, precision: str, settings: Settings) -> TrainConfig:
    arch, encoder = (REHEARSED if settings.rehearse else NETWORKS)[network]
    batch = REHEARSED_BATCH if settings.rehearse else BATCH
    values = {
        "method": name,
        "arch": arch,
        "encoder": encoder,
        "weights": "none",
        "imgsz": settings.side,
        "batch": batch,
        "batch_unlabelled": batch,
        "precision": precision,
        "device": settings.device.type,
    }
    return validate_config(TrainConfig, values, "gpu_check")


def _build(config: TrainConfig) -> Method:
    torch.manual_seed(config.seed)
    rep_dim = config.rep_dim if needs_representation(config) else 0

    def network() -> Network:
        return build_network(
            config.arch, config.encoder, len(CLASSES), "none", rep_dim, config.imgsz
        )

    pixels = torch.ones(len(CLASSES))
    return METHODS[config.method](MethodContext(network(), pixels, config, network))


def _training_step(method: Method, config: TrainConfig, devices: Devices) -> Callable[[], None]:
    """A step on frames of noise, as the trainer makes it."""
    optimizer = make_optimizer(method, config)
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    side = config.imgsz[0]
    labelled = noise_batch(config.batch, side, devices.device, labelled=True)
    unlabelled = noise_batch(config.batch, side, devices.device, labelled=False)

    def step() -> None:
        with devices.autocast():
            loss = method(labelled, unlabelled, 0.9).loss
        loss.backward()
        require_finite(clip_gradients(trained), loss.detach(), 0, [])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        method.after_step(100)

    return step


def _time(step: Callable[[], None], device: torch.device, settings: Settings) -> tuple[float, int]:
    """Seconds of a step and the peak bytes of the GPU, after a few to warm up."""
    if settings.rehearse:
        began = time.perf_counter()
        step()
        return time.perf_counter() - began, 0
    for _ in range(WARM_UP_STEPS):
        step()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:  # a step waits for the GPU in `require_finite`
        step()
        steps += 1
    torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / steps, torch.cuda.max_memory_allocated(device)


PART = Part("throughput", items, measure, seconds=20)
