"""Bias correction: the mean shift of the logits that INT8 causes, taken back in the bias of the
layer that gives them.

A class that is a little too likely everywhere wins at every border. Borders are where it counts, so
pixels weigh as much as the float model is unsure of them; with equal weights the insides of large
areas decide, and fewer pixels agree. Correcting each layer in turn (Nagel et al., 2019, section
4.2) brought nothing more (decision 0010).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.evaluation.parity import with_logits_output
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.qdq_nodes import MIN_RANGE
from edgeseg.export.onnxruntime_cpu.kernel_report import float_convolutions
from edgeseg.export.quantization.quantizer import CalibrationResult, quantize
from edgeseg.progress import ProgressReporter


def logits_conv(calibrated: CalibrationResult, quantized: ModelProto) -> str | None:
    """Return the integer convolution that gives the logits.

    It is None if something else gives them, or if `quantized` has that convolution in float.
    """
    network = calibrated.network
    name = network.topology.producers[network.output_name].name
    in_integers = name in calibrated.layers and name not in float_convolutions(quantized)
    return name if in_integers else None


def correct_bias(
    calibrated: CalibrationResult,
    interface: Interface,
    flavour: Int8Flavour,
    estimator: str,
    images: Iterable[NDArray[np.uint8]],
    float_tensors: Collection[str] = (),
    *,
    threads: int,
    report: ProgressReporter,
) -> CalibrationResult:
    """Return the same calibration with another bias of its last layer.

    Args:
        estimator: Estimates the ranges.
        images: Calibration frames, (H, W, 3) uint8 RGB at the graph's size.
        float_tensors: Tensors that stay float.
    """
    reference = wrap_network(calibrated.network.model, interface)
    quantized = quantize(calibrated, interface, flavour, estimator, float_tensors)
    name = logits_conv(calibrated, quantized)
    if name is None:
        return calibrated
    float_session = open_session(with_logits_output(reference), threads)
    int8_session = open_session(with_logits_output(quantized), threads)
    weighted_shift, total_weight = np.zeros(interface.classes), 0.0
    for image in images:
        feed = {"image": image[None]}
        float_logits, entropy = float_session.run(["logits", "entropy"], feed)
        (int8_logits,) = int8_session.run(["logits"], feed)
        weighted_shift += np.einsum(
            "nchw,nhw->c", float_logits - int8_logits, entropy, dtype=np.float64
        )
        total_weight += float(entropy.sum(dtype=np.float64))
        report.advance()
    layer = calibrated.layers[name]
    mean_shift = weighted_shift / max(total_weight, MIN_RANGE)
    corrected = replace(layer, bias=(layer.bias + mean_shift).astype(np.float32))
    return replace(calibrated, layers=calibrated.layers | {name: corrected})
