"""Calibration of the float network, and the two INT8 files that come of it: one for CPUs, one for
TensorRT.

No file suits both engines: ONNX Runtime wants unsigned codes on every tensor, TensorRT signed ones
in front of convolutions and refuses zero points (`edgeseg.export.onnxruntime_cpu.qdq_placement`,
`edgeseg.export.tensorrt.qdq_placement`). Both come from the same
calibration: channels are equalized, frames run through once, weights are rounded so that outputs
change least.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.bundle.flavours import INT8_CPU, Int8Flavour
from edgeseg.calibration.entropy import Entropy
from edgeseg.calibration.minmax import MinMax
from edgeseg.calibration.mse import MSE
from edgeseg.calibration.observers import UINT8_STEPS, Estimator, Histogram
from edgeseg.calibration.percentile import Percentile
from edgeseg.calibration.weight_rounding import round_weights
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.qdq_nodes import (
    MIN_RANGE,
    GraphTopology,
    Parts,
    QuantizedConv,
    quantizable_convs,
    weight_scales,
)
from edgeseg.export.onnxruntime_cpu.graph_rewrites import rewrite_for_cpu
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_mean
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from edgeseg.export.quantization.activation_statistics import channel_peaks, collect_statistics
from edgeseg.export.quantization.channel_equalization import equalize_channels
from edgeseg.export.tensorrt.qdq_placement import place_qdq_tensorrt
from edgeseg.progress import NullReporter, ProgressReporter

ESTIMATORS: dict[str, type[Estimator]] = {
    "mse": MSE,
    "percentile": Percentile,
    "entropy": Entropy,
    "minmax": MinMax,
}
# times as fine as min-max has it: the finest step that an estimator may choose for a layer's input
MAX_STEP_REFINEMENT = 4


@dataclass(frozen=True)
class CalibrationResult:
    """All that the INT8 files are made from.

    Attributes:
        network: float, with its channels equalized.
        histograms: of the tensors that may get codes.
        layers: its convolutions in integers, by node.
    """

    network: ModelProto
    histograms: dict[str, Histogram]
    layers: dict[str, QuantizedConv]

    def ranges(self, estimator: str, *, signed: bool) -> dict[str, tuple[float, float]]:
        """(low, high) of each tensor; `signed` for codes that are signed even where no value is
        negative.
        """
        kind = ESTIMATORS[estimator]
        return {
            name: kind(histogram).range(signed=signed)
            for name, histogram in self.histograms.items()
        }


def calibrate(
    network: ModelProto,
    interface: Interface,
    images: Sequence[NDArray[np.uint8]],
    *,
    threads: int = 0,
    report: ProgressReporter | None = None,
) -> CalibrationResult:
    """Run frames through the network and round its weights.

    Args:
        images: (H, W, 3) uint8 RGB each, at the graph's size; each is read twice.

    Raises:
        ExportError: there is no frame, or the network overflows on one.
    """
    report = report or NullReporter()
    report.start("calibrating: how large channels are", len(images))
    network = equalize_channels(
        network, channel_peaks(network, interface, images, threads=threads, report=report)
    )
    report.start("calibrating: ranges and inputs", len(images))
    seen = collect_statistics(network, interface, images, threads=threads, report=report)
    report.start("rounding weights", len(seen.grams))
    constants, layers = GraphTopology(network).constants, {}
    for name, node in quantizable_convs(network).items():
        weight = constants[node.input[1]]
        bias = (
            constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight), np.float32)
        )
        step = max(seen.histograms[node.input[0]].max_magnitude, MIN_RANGE) / (
            UINT8_STEPS * MAX_STEP_REFINEMENT
        )
        scales = weight_scales(weight, bias, step)
        codes, bias = round_weights(weight, bias, scales, seen.grams.pop(name))
        layers[name] = QuantizedConv(codes, scales, bias)
        report.advance()
    return CalibrationResult(network, seen.histograms, layers)


def quantize(
    calibrated: CalibrationResult,
    interface: Interface,
    flavour: Int8Flavour,
    estimator: str = "mse",
    float_tensors: Collection[str] = (),
) -> ModelProto:
    """The whole graph with its network in INT8; what is in front of and behind the network stays
    float.

    Args:
        estimator: of the ranges, one of ESTIMATORS.
        islands: tensors that stay float.
    """
    cpu = flavour == INT8_CPU
    parts: Parts = (
        calibrated.network,
        calibrated.ranges(estimator, signed=not cpu),
        calibrated.layers,
    )
    if not cpu:
        return wrap_network(place_qdq_tensorrt(*parts, float_tensors), interface)
    parts = fold_mean(*rewrite_for_cpu(*parts, float_tensors), float_tensors, interface)
    return wrap_network(place_qdq_cpu(*parts, float_tensors), interface, channels_last=True)
