"""The latency of several graphs, measured in turns."""

from __future__ import annotations

from onnx import ModelProto

from edgeseg.export.evaluation.latency import compare_latency
from edgeseg.export.graph.pre_post_processing import wrap_network
from edgeseg.progress import NullReporter
from tests.helpers.quantization import IMAGES, INTERFACE


def test_latency_is_measured_for_every_graph(network: ModelProto, cpu_graph: ModelProto) -> None:
    int8_graphs = {
        "fp32": wrap_network(network, INTERFACE).SerializeToString(),
        "int8-cpu": cpu_graph.SerializeToString(),
    }
    times = compare_latency(int8_graphs, IMAGES[0], 1, 0, NullReporter())
    assert set(times) == set(int8_graphs) and all(
        0 < timing.minimum <= timing.median for timing in times.values()
    )
