"""Calibration of the float network, and the two INT8 files that come of it: one for CPUs, one for
TensorRT.

No file suits both engines: ONNX Runtime wants unsigned integers on every tensor
(`edgeseg.export.onnxruntime_cpu.qdq_placement`), TensorRT signed ones in front of convolutions, and
it refuses zero points (`edgeseg.export.tensorrt.qdq_placement`). Both come from the same
calibration: channels are equalized, frames run through once, weights are rounded so that outputs
change least.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.bundle.flavours import INT8_CPU, INT8_TRT, Int8Flavour
from edgeseg.calibration.histogram import UINT8_STEPS, Histogram
from edgeseg.calibration.registry import ESTIMATORS
from edgeseg.calibration.weight_pairs import Pairing, pairings, without_overflow
from edgeseg.calibration.weight_rounding import GramMatrix, round_weights
from edgeseg.errors import ExportError
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.onnx_helpers import attributes_of
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.qdq_nodes import MIN_RANGE, QuantizationPlan, QuantizedConv, weight_scales
from edgeseg.export.onnxruntime_cpu.graph_rewrites import rewrite_for_cpu
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_mean
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from edgeseg.export.quantization.activation_statistics import channel_peaks, collect_statistics
from edgeseg.export.quantization.channel_equalization import equalize_channels
from edgeseg.export.tensorrt.layer_normalization import write_out_layer_norms
from edgeseg.export.tensorrt.qdq_placement import place_qdq_tensorrt
from edgeseg.progress import NullReporter, ProgressReporter

# times as fine as min-max has it: the finest step that an estimator may choose for a layer's input
MAX_STEP_REFINEMENT = 4


@dataclass(frozen=True)
class CalibrationResult:
    """All that the INT8 files are made from.

    Attributes:
        network: In float, with its channels equalized.
        histograms: Those of the tensors that may be quantized.
        layers: Its convolutions in integers, by node.
    """

    network: AnalyzedNetwork
    histograms: dict[str, Histogram]
    layers: dict[str, QuantizedConv]

    def ranges(self, estimator: str, *, signed: bool) -> dict[str, tuple[float, float]]:
        """Return (low, high) of each tensor.

        Args:
            estimator: One of ESTIMATORS.
            signed: The integers are signed even where no value is negative.
        """
        estimate = ESTIMATORS[estimator]
        return {
            name: estimate(histogram).range(signed=signed)
            for name, histogram in self.histograms.items()
        }

    def plan(
        self, flavour: Int8Flavour, estimator: str, float_tensors: Collection[str] = ()
    ) -> QuantizationPlan:
        """Return what is placed in the graph of a flavour, before its rewrites."""
        ranges = self.ranges(estimator, signed=flavour == INT8_TRT)
        return QuantizationPlan(self.network, ranges, self.layers, float_tensors)


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
        ExportError: There is no frame, or the network overflows on one, or computes the sizes of
            its tensors while it runs.
    """
    report = report or NullReporter()
    uneven = AnalyzedNetwork(network)
    _require_known_sizes(uneven)
    report.start("calibrating: how large channels are", len(images))
    peaks = channel_peaks(uneven, interface, images, threads=threads, report=report)
    equalized = equalize_channels(uneven, peaks)
    report.start("calibrating: ranges and inputs", len(images))
    statistics = collect_statistics(equalized, interface, images, threads=threads, report=report)
    report.start("rounding weights", len(statistics.grams))
    layers = quantize_weights(equalized, statistics.histograms, statistics.grams, report)
    return CalibrationResult(equalized, statistics.histograms, layers)


def _require_known_sizes(network: AnalyzedNetwork) -> None:
    """Check that every convolution that may be quantized reads an image of known size.

    Raises:
        ExportError: One does not.
    """
    for name, node in network.quantizable_convs.items():
        if len(network.shapes.get(node.input[0], ())) != 4:
            raise ExportError(
                f"the network computes the size of what {name} reads while it runs, which INT8 "
                "files cannot; choose another arch or encoder, an imgsz that it was made for, or "
                "export without --int8"
            )


def quantize_weights(
    network: AnalyzedNetwork,
    histograms: Mapping[str, Histogram],
    grams: dict[str, GramMatrix],
    report: ProgressReporter,
) -> dict[str, QuantizedConv]:
    """Return the convolutions in integers, by node; `grams` is emptied on the way, it is large."""
    layers = {}
    for name, (weight, bias, scales) in layer_parameters(network, histograms).items():
        ways = layer_pairings(network, name)
        weight_int8, bias = round_weights(weight, bias, scales, grams.pop(name), ways)
        layers[name] = QuantizedConv(without_overflow(weight_int8, ways), scales, bias)
        report.advance()
    return layers


def layer_parameters(
    network: AnalyzedNetwork, histograms: Mapping[str, Histogram]
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
    """Return weight, bias (zeros if there is none) and weight scales of each convolution."""
    parameters = {}
    for name, node in network.quantizable_convs.items():
        weight = network.constants[node.input[1]]
        has_bias = len(node.input) > 2
        bias = network.constants[node.input[2]] if has_bias else np.zeros(len(weight), np.float32)
        magnitude = max(histograms[node.input[0]].max_magnitude, MIN_RANGE)
        finest_step = magnitude / (UINT8_STEPS * MAX_STEP_REFINEMENT)
        ways = layer_pairings(network, name)
        parameters[name] = (weight, bias, weight_scales(weight, bias, finest_step, ways))
    return parameters


def layer_pairings(network: AnalyzedNetwork, name: str) -> list[Pairing]:
    """Return the pairs of weights of a convolution that must not overflow together.

    The first layer's are also paired as they are when it reads several pixels as one.
    """
    node = network.quantizable_convs[name]
    groups = attributes_of(node).get("group", 1)
    reads_image = node.input[0] == network.input_name
    return pairings(network.constants[node.input[1]].shape, groups, shifted=reads_image)


def quantize(
    calibrated: CalibrationResult,
    interface: Interface,
    flavour: Int8Flavour,
    estimator: str = "mse",
    float_tensors: Collection[str] = (),
) -> ModelProto:
    """Return the whole graph with its network in INT8; pre- and post-processing stay float.

    Args:
        estimator: Estimates the ranges, one of ESTIMATORS.
        float_tensors: Tensors that stay float.
    """
    plan = calibrated.plan(flavour, estimator, float_tensors)
    if flavour == INT8_CPU:
        plan = fold_mean(rewrite_for_cpu(plan), interface)
        return wrap_network(place_qdq_cpu(plan), interface, channels_last=True)
    placed = write_out_layer_norms(place_qdq_tensorrt(plan), plan.network.shapes)
    return wrap_network(placed, interface)
