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
from edgeseg.calibration.observers import UNSIGNED, Estimator, Histogram
from edgeseg.calibration.percentile import Percentile
from edgeseg.calibration.weight_rounding import round_layer
from edgeseg.export.graph.pre_post_processing import Interface, wrap
from edgeseg.export.graph.qdq_nodes import (
    SMALLEST,
    GraphTopology,
    Parts,
    QuantizedConv,
    layers_of,
    weight_scales,
)
from edgeseg.export.onnxruntime_cpu.graph_rewrites import rewrite
from edgeseg.export.onnxruntime_cpu.normalization_folding import read_pixels
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_cpu
from edgeseg.export.quantization.activation_statistics import channel_peaks, observe
from edgeseg.export.quantization.channel_equalization import equalize
from edgeseg.export.tensorrt.qdq_placement import place_trt
from edgeseg.progress import NullReporter, ProgressReporter

ESTIMATORS: dict[str, type[Estimator]] = {
    "mse": MSE,
    "percentile": Percentile,
    "entropy": Entropy,
    "minmax": MinMax,
}
# times as fine as min-max has it: the finest step that an estimator may choose for a layer's input
FINEST = 4


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
    network = equalize(
        network, channel_peaks(network, interface, images, threads=threads, report=report)
    )
    report.start("calibrating: ranges and inputs", len(images))
    seen = observe(network, interface, images, threads=threads, report=report)
    report.start("rounding weights", len(seen.grams))
    constants, layers = GraphTopology(network).constants, {}
    for name, node in layers_of(network).items():
        weight = constants[node.input[1]]
        bias = (
            constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weight), np.float32)
        )
        step = max(seen.histograms[node.input[0]].magnitude, SMALLEST) / (UNSIGNED * FINEST)
        scales = weight_scales(weight, bias, step)
        codes, bias = round_layer(weight, bias, scales, seen.grams.pop(name))
        layers[name] = QuantizedConv(codes, scales, bias)
        report.advance()
    return CalibrationResult(network, seen.histograms, layers)


def quantize(
    calibrated: CalibrationResult,
    interface: Interface,
    flavour: Int8Flavour,
    estimator: str = "mse",
    islands: Collection[str] = (),
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
        return wrap(place_trt(*parts, islands), interface)
    parts = read_pixels(*rewrite(*parts, islands), islands, interface)
    return wrap(place_cpu(*parts, islands), interface, channels_last=True)
