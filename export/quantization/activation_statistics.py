"""Statistics of the float network's tensors, collected while calibration frames run through it in
ONNX Runtime.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.calibration.frame_selection import FrameStatistics
from edgeseg.calibration.histogram import Histogram
from edgeseg.calibration.weight_rounding import GramMatrix
from edgeseg.errors import ExportError
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.graph_view import CHANNEL_AXIS
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.topology import GraphTopology
from edgeseg.export.quantization.probe_graph import ConvInputSampler, ProbeGraph, add_sample
from edgeseg.progress import NullReporter, ProgressReporter

Images = Iterable[NDArray[np.uint8]]


@dataclass(frozen=True)
class ActivationStatistics:
    """What calibration remembers of a network's tensors.

    Attributes:
        histograms: Those of the tensors that may be quantized.
        grams: The products of the inputs of each convolution, by node.
    """

    histograms: dict[str, Histogram]
    grams: dict[str, GramMatrix]


def channel_peaks(
    network: AnalyzedNetwork,
    interface: Interface,
    images: Images,
    *,
    threads: int = 0,
    report: ProgressReporter | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Return the (C,) largest magnitude in each channel, of each (N, C, H, W) tensor.

    Those are the tensors that may be quantized.
    """
    shapes = network.shapes
    names = [name for name in network.quantizable_tensors if len(shapes[name]) == 4]
    positive = set(network.absorbed.values())  # outputs of ReLUs
    probe = ProbeGraph(wrap_network(network.model, interface))
    for name in names:
        magnitude = name if name in positive else f"{name}.magnitude"
        if name not in positive:
            probe.add("Abs", [name], magnitude)
        probe.add("ReduceMax", [magnitude], f"{name}.peak", axes=[0, 2, 3], keepdims=0)
    session = probe.open([f"{name}.peak" for name in names], threads)
    peaks = {name: np.zeros(shapes[name][1], np.float32) for name in names}
    for image in images:
        for name, peak in zip(names, session.run(None, {"image": image[None]})):
            peaks[name] = np.maximum(peaks[name], peak)
        if report is not None:
            report.advance()
    return peaks


def collect_statistics(
    network: AnalyzedNetwork,
    interface: Interface,
    images: Images,
    *,
    threads: int = 0,
    report: ProgressReporter | None = None,
) -> ActivationStatistics:
    """Run frames through the network and return histograms and input products.

    Args:
        images: (H, W, 3) uint8 RGB each, at the graph's size.

    Raises:
        ExportError: There is no frame, or the network overflows on one.
    """
    report = report or NullReporter()
    histograms = {name: Histogram() for name in network.quantizable_tensors}
    samplers = [
        ConvInputSampler(node, network.shapes, network.constants)
        for node in network.quantizable_convs.values()
    ]
    probe = ProbeGraph(wrap_network(network.model, interface))
    samples = [add_sample(probe, name, math.prod(network.shapes[name])) for name in histograms]
    patches = [sampler.attach(probe) for sampler in samplers]
    session = probe.open([*samples, *patches], threads)
    for image in images:
        values = session.run(None, {"image": image[None]})
        for (name, histogram), sample in zip(histograms.items(), values):
            try:
                histogram.collect(sample)
            except ValueError:
                raise ExportError(
                    f"the network overflows in {name} on a calibration frame; train it again"
                ) from None
        for sampler, inputs in zip(samplers, values[len(samples) :]):
            sampler.collect(inputs)
        report.advance()
    if not any(histogram.total for histogram in histograms.values()):
        raise ExportError(
            "no frame was given to calibrate with; add footage with `edgeseg add footage PATH`"
        )
    return ActivationStatistics(histograms, {sampler.name: sampler.gram for sampler in samplers})


def frame_statistics(
    network: ModelProto,
    interface: Interface,
    images: Images,
    *,
    threads: int = 0,
    report: ProgressReporter | None = None,
) -> FrameStatistics:
    """Return features, class areas and scores that the float model gives for frames.

    The features are the encoder's last map, averaged over its pixels.
    """
    report = report or NullReporter()
    probe = ProbeGraph(wrap_network(network, interface))
    probe.add("GlobalAveragePool", [_deepest_map(AnalyzedNetwork(network))], "probe.features")
    session = probe.open(["probe.features", "area", "score"], threads)
    rows = []
    for image in images:
        features, area, score = session.run(None, {"image": image[None]})
        rows.append((features.reshape(-1), area[0], score[0]))
        report.advance()
    return FrameStatistics(*(np.stack(column) for column in zip(*rows)))


def _deepest_map(network: AnalyzedNetwork) -> str:
    """Return the last (N, C, H, W) tensor of the encoder, or of the network if none is so named."""
    topology = network.topology
    maps = [
        name
        for name in network.quantizable_tensors
        if name in topology.producers and len(network.shapes[name]) == 4
    ]
    in_encoder = [name for name in maps if _source_conv(topology, name).startswith("encoder.")]
    return (in_encoder or maps)[-1]


def _source_conv(topology: GraphTopology, name: str) -> str:
    """Return the name of the convolution that a tensor comes from, by the first inputs."""
    producer = topology.producers.get(name)
    while producer is not None and producer.op_type not in CHANNEL_AXIS:
        producer = topology.producers.get(producer.input[0])
    return producer.name if producer is not None else ""
