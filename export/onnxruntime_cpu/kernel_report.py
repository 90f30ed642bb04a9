"""The kernels that ONNX Runtime takes for an INT8 file."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.graph_view import CHANNEL_AXIS


@dataclass(frozen=True)
class KernelReport:
    """What is left of a file after ONNX Runtime optimized it.

    Attributes:
        quantized: The number of convolutions that run in integers.
        conversions: The number of QuantizeLinear and DequantizeLinear nodes that are left.
    """

    quantized: int
    conversions: int


def inspect_kernels(data: bytes) -> KernelReport:
    """Load the CPU flavour as ONNX Runtime will, and count the kernels that it takes."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimized.onnx"
        open_session(data, 1, optimized=target)
        kinds = Counter(node.op_type for node in onnx.load(target).graph.node)
    return KernelReport(kinds["QLinearConv"], kinds["QuantizeLinear"] + kinds["DequantizeLinear"])


def integer_convolutions(model: ModelProto) -> int:
    """Return the number of convolutions of an INT8 file that are meant to run in integers."""
    dequantized = _dequantized_tensors(model)
    return sum(
        node.op_type in CHANNEL_AXIS and node.input[1] in dequantized for node in model.graph.node
    )


def float_convolutions(model: ModelProto) -> list[str]:
    """Return the names of the convolutions of an INT8 file that are meant to run in float.

    Transposed ones are among them: ONNX Runtime has no kernel for them in integers, and for
    TensorRT they are left float as well (docs/int8.md).
    """
    dequantized = _dequantized_tensors(model)
    return [
        node.name
        for node in model.graph.node
        if node.op_type in CHANNEL_AXIS and node.input[1] not in dequantized
    ]


def _dequantized_tensors(model: ModelProto) -> set[str]:
    return {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
