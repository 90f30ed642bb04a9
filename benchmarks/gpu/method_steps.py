"""A step of every method: finite, with the CPU's loss and gradient.

Both sides begin with the same weights and frames and draw the same random numbers; the GPU computes
in float32 without TF32.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.gpu.findings import Finding
from benchmarks.gpu.isolation import Part
from benchmarks.gpu.one_step_stages import OneStepStages, Step
from benchmarks.gpu.scene import CLASSES, augmented_batch, small_site
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.shared_random import SharedRandom
from edgeseg.config import METHOD_NAMES, TrainConfig
from edgeseg.errors import TrainError
from edgeseg.methods import METHODS, STAGED, Method, MethodContext, needs_representation
from edgeseg.models import Network, build_network
from edgeseg.site import Site
from edgeseg.training.optimizer import clip_gradients, make_optimizer, require_finite

# Sums in another order round otherwise. With weights that were off by 1e-6 of themselves, losses on
# a CPU moved by up to 2e-4 (psmt: pixels whose label is all but a draw) and the norms of gradients,
# through batch norms that see two frames, by up to 1.5e-2. A wrong kernel or another random number
# moves both by tens of percent.
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 2e-3, 1e-1
REHEARSED = ("cutmix_mt", "u2pl", "st")  # the others take the same ways through this script
PROGRESS = 0.9  # of the training, when every loss counts


def measure(name: str, settings: Settings) -> Finding:
    """Compare the steps of a method on the CPU and on the device."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    site = small_site(settings.folder / "small-site")
    on_cpu = steps_of(name, site, settings, torch.device("cpu"))
    on_device = steps_of(name, site, settings, settings.device)
    return compare(on_cpu, on_device)


def compare(on_cpu: Sequence[Step], on_device: Sequence[Step]) -> Finding:
    """Hold the steps of the device against those of the CPU."""
    loss = max(_difference(a.loss, b.loss) for a, b in zip(on_cpu, on_device, strict=True))
    slope = max(_difference(a.gradient, b.gradient) for a, b in zip(on_cpu, on_device, strict=True))
    last = on_device[-1]
    text = f"loss {last.loss:.4f}, off by {loss:.1e}, gradient {last.gradient:.3f} by {slope:.1e}"
    figures = {
        "losses": [step.loss for step in on_device],
        "cpu_losses": [step.loss for step in on_cpu],
        "loss_difference": loss,
        "gradient_difference": slope,
    }
    passed = loss <= LOSS_TOLERANCE and slope <= GRADIENT_TOLERANCE
    return Finding(passed, text, figures)


def _difference(expected: float, found: float) -> float:
    """Relative to what is expected; infinite where one is not finite."""
    if not math.isfinite(expected) or not math.isfinite(found):
        return math.inf
    return abs(found - expected) / max(abs(expected), 1e-6)


def steps_of(name: str, site: Site, settings: Settings, device: torch.device) -> list[Step]:
    """The step of an online method, or one of each kind of stage of a staged one."""
    config = settings.small_config(
        device.type, method=name, steps=10, confidence=0.0, cutmix=1.0, ramp=0.0
    )
    rep_dim = config.rep_dim if needs_representation(config) else 0

    def network() -> Network:
        return build_network(config.arch, config.encoder, len(CLASSES), "none", rep_dim)

    def make_context(pixels: Tensor) -> MethodContext:
        torch.manual_seed(config.seed)
        return MethodContext(network(), pixels, config, network)

    def step(method: Method, labels: Path | None) -> Step:
        return one_step(method, config, site, device, labels)

    if name in METHODS:
        return [step(METHODS[name](make_context(torch.ones(len(CLASSES)))), None)]
    folder = settings.folder / f"{name}-stages"
    shutil.rmtree(folder, ignore_errors=True)
    stages = OneStepStages(site, config, folder, make_context, step)
    STAGED[name](stages)
    return stages.steps


def one_step(
    method: Method, config: TrainConfig, site: Site, device: torch.device, labels: Path | None
) -> Step:
    """Make a step of the optimizer with the first frames of the site.

    Raises:
        TrainError: The loss or the gradient is not finite.
    """
    method = method.to(memory_format=torch.channels_last).to(device).train()
    optimizer = make_optimizer(method, config)
    torch.manual_seed(1)
    with SharedRandom():  # type: ignore[no-untyped-call]
        labelled = augmented_batch(site, "labelled", 2, device)
        unlabelled = augmented_batch(site, "unlabelled", 2, device, labels)
        loss = method(labelled, unlabelled, PROGRESS).loss
        loss.backward()
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    norm = clip_gradients(trained)
    require_finite(norm, loss.detach(), 0, [])
    optimizer.step()
    method.after_step(0)
    if not all(bool(value.isfinite().all()) for value in method.state_dict().values()):
        raise TrainError("a weight or a buffer is not finite after the step")
    return Step(float(loss.detach()), float(norm))


def items(settings: Settings) -> Sequence[str]:
    """All methods, or a few of a rehearsal."""
    return REHEARSED if settings.rehearse else METHOD_NAMES


PART = Part("step", items, measure, seconds=4)
