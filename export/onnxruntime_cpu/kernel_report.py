"""Which kernels ONNX Runtime takes for an INT8 file."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto

from edgeseg.export.evaluation.ort_session import open_session


@dataclass(frozen=True)
class KernelReport:
    """What ONNX Runtime made of the CPU flavour.

    Attributes:
        quantized: convolutions that run on 8-bit codes.
        conversions: QuantizeLinear and DequantizeLinear left over.
    """

    quantized: int
    conversions: int


def inspect_kernels(data: bytes) -> KernelReport:
    """Load the CPU flavour as ONNX Runtime will, and count which kernels it takes."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimised.onnx"
        open_session(data, 1, optimized=target)
        kinds = Counter(node.op_type for node in onnx.load(target).graph.node)
    return KernelReport(kinds["QLinearConv"], kinds["QuantizeLinear"] + kinds["DequantizeLinear"])


def integer_convolutions(model: ModelProto) -> int:
    """The convolutions of an INT8 file that are meant to run on codes."""
    back = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return sum(node.op_type == "Conv" and node.input[1] in back for node in model.graph.node)


def float_convolutions(model: ModelProto) -> list[str]:
    """The convolutions of an INT8 file that are not, by name."""
    back = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] not in back
    ]
