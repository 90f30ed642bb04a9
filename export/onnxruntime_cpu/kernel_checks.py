"""Whether ONNX Runtime runs the CPU's INT8 file in integers: point 12 of `export --check`."""

from __future__ import annotations

from onnx import NodeProto

from edgeseg.bundle.graph_metadata import FLOAT_CONVOLUTIONS_KEY
from edgeseg.export.graph.graph_view import DQ, GraphView, Q
from edgeseg.export.onnxruntime_cpu.kernel_report import inspect_kernels

# More Q/DQ nodes than there are floats to convert are allowed: a Mul by a temperature of 1 gives
# way to its two readers.
SPARE_CONVERSIONS = 1
# ONNX Runtime computes these in integers where integers go in and come out.
INTEGER_OPERATORS = frozenset(
    """
    Add AveragePool Concat Conv GlobalAveragePool LeakyRelu MaxPool Mul Reshape Sigmoid Slice
    Split Transpose
    """.split()  # noqa: SIM905  # one a line would take a screen
)


def check_cpu_kernels(data: bytes, source: GraphView) -> list[str]:
    """Check that all but the listed convolutions run in integers, with few conversions.

    Args:
        data: The content of model.int8-cpu.onnx.
        source: The graph of model.onnx.
    """
    view, findings = GraphView(data), []
    kernels = inspect_kernels(data)
    in_float = view.listed_names(FLOAT_CONVOLUTIONS_KEY) or []
    expected = len(source.convolutions()) - len(in_float)
    if kernels.quantized != expected:
        findings.append(
            f"ONNX Runtime runs {kernels.quantized} convolutions of the CPU file on codes instead "
            f"of {expected}"
        )
    most = needed_conversions(view) + SPARE_CONVERSIONS
    if kernels.conversions > most:
        findings.append(
            f"ONNX Runtime leaves {kernels.conversions} Q/DQ nodes in the CPU file, more than "
            f"{most}"
        )
    return findings


def needed_conversions(view: GraphView) -> int:
    """Return how many Q and DQ nodes are left where a CPU file runs in integers as it should.

    One Q where a tensor is quantized that was made in float, and one DQ for each node that reads a
    quantized tensor in float. With A and B in integers, `float -> Q -> DQ -> A -> Q -> DQ -> B ->
    Q -> DQ -> float` needs two: the first Q and the last DQ; the pairs between are fused away.
    """
    in_integers = {node.output[0] for node in view.nodes if _runs_in_integers(view, node)}
    quantized = sum(node.op_type == Q and node.input[0] not in in_integers for node in view.nodes)
    dequantized = sum(
        reader.output[0] not in in_integers
        for node in view.nodes
        if node.op_type == DQ and view.producer_type(node.input[0]) == Q
        for reader in view.consumers[node.output[0]]
    )
    return int(quantized + dequantized)


def _runs_in_integers(view: GraphView, node: NodeProto) -> bool:
    if node.op_type not in INTEGER_OPERATORS:
        return False
    readers = [reader for name in node.output for reader in view.consumers[name]]
    takes_integers = all(view.producer_type(name) == DQ for name in view.data_inputs(node))
    return takes_integers and all(reader.op_type == Q for reader in readers)
