"""Quantization-aware training, the last recipe: the integers are trained for a short while to
follow the float model, without any label.

The student is the graph with its Q/DQ nodes as it ships (`edgeseg.export.quantization.qat_module`),
the teacher the float network; frames are those of calibration or more of the same kind. What is
learned are the weights, in quantization steps, and the biases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.bundle.flavours import INT8_CPU, Int8Flavour
from edgeseg.calibration.weight_pairs import without_overflow
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from edgeseg.export.quantization.qat_module import TorchGraph
from edgeseg.export.quantization.quantizer import CalibrationResult, layer_pairings
from edgeseg.export.tensorrt.qdq_placement import place_qdq_tensorrt
from edgeseg.imaging.array_types import Image
from edgeseg.progress import ProgressReporter

BATCH_SIZE = 2
# in quantization steps: about how far a weight moves at one optimizer step
LEARNING_RATE = 0.02


def finetune(
    calibrated: CalibrationResult,
    interface: Interface,
    flavour: Int8Flavour,
    estimator: str,
    images: Sequence[Image],
    *,
    steps: int,
    seed: int,
    report: ProgressReporter,
) -> CalibrationResult:
    """Return the same calibration with trained layers.

    The learning rate falls linearly to 0.

    Args:
        estimator: Estimates the ranges, which stay as they are.
        images: Unlabelled frames, (H, W, 3) uint8 RGB at the graph's size.
        steps: Of the optimizer, two frames each.

    Raises:
        ExportError: The network has a node that cannot be trained here.
    """
    place_qdq = place_qdq_cpu if flavour == INT8_CPU else place_qdq_tensorrt
    student = TorchGraph(place_qdq(calibrated.plan(flavour, estimator)), calibrated.layers)
    teacher = TorchGraph(calibrated.network.model, {})
    optimizer = torch.optim.Adam(student.parameters(), lr=LEARNING_RATE)
    report.start(f"training the weights of {flavour}", steps)
    for step, frames in enumerate(_batches(images, interface, steps, seed)):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / steps)
        with torch.no_grad():
            target = teacher(frames)
        loss = _distillation_loss(student(frames), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        report.advance()
    trained = {
        name: replace(
            layer,
            weight_int8=without_overflow(
                layer.weight_int8, layer_pairings(calibrated.network, name)
            ),
        )
        for name, layer in student.quantized_convs().items()
    }
    return replace(calibrated, layers=calibrated.layers | trained)


def _batches(
    images: Sequence[Image], interface: Interface, steps: int, seed: int
) -> Iterator[Tensor]:
    """Yield (BATCH_SIZE, 3, H, W) normalized frames, half of them mirrored, once for each step."""
    random = np.random.default_rng(seed)
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1) for values in (interface.mean, interface.std)
    )
    for _ in range(steps):
        places = random.integers(0, len(images), BATCH_SIZE)
        batch = np.stack([_randomly_mirrored(images[int(place)], random) for place in places])
        yield (torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255 - mean) / std


def _distillation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the noise of the logits relative to their variance, plus the mean KL divergence.

    Args:
        logits: (N, C, h, w) of the student.
        target: (N, C, h, w) of the teacher.
    """
    noise = F.mse_loss(logits, target) / target.var()
    divergence = F.kl_div(
        logits.log_softmax(1), target.log_softmax(1), reduction="none", log_target=True
    )
    return noise + divergence.sum(1).mean()


def _randomly_mirrored(image: Image, random: np.random.Generator) -> Image:
    """Return the image, or half of the time its mirror image."""
    return np.ascontiguousarray(image[:, ::-1]) if random.random() < 0.5 else image
