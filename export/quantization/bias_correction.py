"""Bias correction: what INT8 shifts the logits by in the mean, taken back in the bias of the layer
that gives them.

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
from edgeseg.export.graph.qdq_nodes import MIN_RANGE, GraphTopology
from edgeseg.export.onnxruntime_cpu.kernel_report import float_convolutions
from edgeseg.export.quantization.quantizer import CalibrationResult, quantize
from edgeseg.progress import ProgressReporter


def logits_conv(calibrated: CalibrationResult, model: ModelProto) -> str | None:
    """The convolution that gives the logits; None if something else does, or if `model` has it in
    float.
    """
    network = calibrated.network
    name = GraphTopology(network).producers[network.graph.output[0].name].name
    return name if name in calibrated.layers and name not in float_convolutions(model) else None


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
    """The same calibration with another bias of its last layer.

    Args:
        estimator: of the ranges.
        images: calibration frames, (H, W, 3) uint8 RGB at the graph's size.
        islands: tensors that stay float.
    """
    exact, coarse = (
        wrap_network(calibrated.network, interface),
        quantize(calibrated, interface, flavour, estimator, float_tensors),
    )
    name = logits_conv(calibrated, coarse)
    if name is None:
        return calibrated
    sessions = [open_session(with_logits_output(model), threads) for model in (exact, coarse)]
    shift, total = np.zeros(interface.classes), 0.0
    for image in images:
        feed = {"image": image[None]}
        wanted, unsure = sessions[0].run(["logits", "entropy"], feed)
        (given,) = sessions[1].run(["logits"], feed)
        shift += np.einsum("nchw,nhw->c", wanted - given, unsure, dtype=np.float64)
        total += float(unsure.sum(dtype=np.float64))
        report.advance()
    layer = calibrated.layers[name]
    bias = (layer.bias + shift / max(total, MIN_RANGE)).astype(np.float32)
    return replace(calibrated, layers=calibrated.layers | {name: replace(layer, bias=bias)})
