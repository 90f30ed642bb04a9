"""The last rung: the integers themselves are trained for a short while to follow the float model,
without any label.

The student is the placed graph with its codes (`edgeseg.export.quantization.qat_module`), the
teacher the float network; frames are those of calibration or more of the same kind. What is learned
are the weights in steps of their codes, and the biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from edgeseg.bundle.flavours import INT8_CPU, INT8_TRT, Int8Flavour
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from edgeseg.export.quantization.qat_module import TorchGraph
from edgeseg.export.quantization.quantizer import CalibrationResult
from edgeseg.export.tensorrt.qdq_placement import place_qdq_tensorrt
from edgeseg.imaging.array_types import Image
from edgeseg.progress import ProgressReporter

BATCH_SIZE = 2
LEARNING_RATE = 0.02  # in steps of codes: about how far a weight moves at one optimizer step


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
    """The same calibration with trained layers.

    Args:
        estimator: of the ranges, which stay as they are.
        images: unlabelled frames, (H, W, 3) uint8 RGB at the graph's size.
        steps: of the optimizer, two frames each.

    Raises:
        ExportError: the network has a node that cannot be trained here.
    """
    place = place_qdq_cpu if flavour == INT8_CPU else place_qdq_tensorrt
    ranges = calibrated.ranges(estimator, signed=flavour == INT8_TRT)
    student = TorchGraph(place(calibrated.network, ranges, calibrated.layers), calibrated.layers)
    teacher = TorchGraph(calibrated.network, {})
    optimizer = torch.optim.Adam(student.parameters(), lr=LEARNING_RATE)
    random = np.random.default_rng(seed)
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1) for values in (interface.mean, interface.std)
    )
    report.start(f"training the codes of {flavour}", steps)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / steps)
        batch = np.stack(
            [
                _flipped(images[int(place_)], random)
                for place_ in random.integers(0, len(images), BATCH_SIZE)
            ]
        )
        frames = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255 - mean) / std
        with torch.no_grad():
            wanted = teacher(frames)
        given = student(frames)
        noise = F.mse_loss(given, wanted) / wanted.var()
        divergence = F.kl_div(
            given.log_softmax(1), wanted.log_softmax(1), reduction="none", log_target=True
        )
        loss = noise + divergence.sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        report.advance()
    return replace(calibrated, layers=calibrated.layers | student.quantized_convs())


def _flipped(image: Image, random: np.random.Generator) -> Image:
    """The image, or half of the time its mirror image."""
    return np.ascontiguousarray(image[:, ::-1]) if random.random() < 0.5 else image
