"""The INT8 file for ONNX Runtime on a CPU: 8-bit activations and per-channel 8-bit weights as Q/DQ nodes.

Its CPU kernels are fast for unsigned activations with signed weights, and fuse a convolution only where 8-bit codes go
in and come out. So every tensor between layers gets codes, uint8 with zero point 0 (nothing negative) or 128, and
weights get one scale per channel: per-tensor weights cost MobileNets tens of mIoU points. ONNX Runtime's quantiser
places the nodes. The ranges are our own, since its calibrators keep every activation of every frame in memory.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData

from edgeseg.calibration.percentile import Percentile
from edgeseg.errors import ExportError
from edgeseg.export.graph import IR_VERSION, OPSET, Constants, assemble, infer_shapes
from edgeseg.export.interface import Interface, wrap
from edgeseg.export.session import open_session
from edgeseg.progress import Report, Silent

METHOD = "percentile 99.99"
SAMPLES = 16384  # values looked at per tensor and frame
OPERATORS = [
    "Add", "AveragePool", "Clip", "Concat", "Conv", "Gemm", "GlobalAveragePool", "LeakyRelu", "MatMul", "MaxPool",
    "Mul", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Split", "Transpose",
]  # fmt: skip  # what ONNX Runtime runs on codes, and what must not interrupt them
ABSORBED = ("Clip", "Relu")  # dropped behind a convolution: the codes of its output begin and end where they do
SMALLEST = 1e-6  # range of a tensor that is always zero; a scale must be above 0
Ranges = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Kernels:
    """What ONNX Runtime made of an INT8 file.

    Attributes:
        convolutions: in the float network.
        quantised: of them run on 8-bit codes.
        conversions: QuantizeLinear and DequantizeLinear left over.
    """

    convolutions: int
    quantised: int
    conversions: int


def collect_ranges(
    network: ModelProto,
    interface: Interface,
    images: Iterable[NDArray[np.uint8]],
    *,
    threads: int = 0,
    report: Report | None = None,
) -> Ranges:
    """Run frames through the exported graph and find what range each tensor of the network needs.

    A regular sample of each tensor leaves the graph, so memory does not grow with the number or the size of frames.

    Args:
        images: (H, W, 3) uint8 RGB each, at the graph's size.

    Raises:
        ExportError: there is no frame, or the network overflows on one.
    """
    report = report or Silent()
    wanted = _tensors(network)
    model = _sampled(wrap(network, interface), network, wanted)
    session = open_session(model.SerializeToString(), threads)
    observers = {name: Percentile() for name in wanted}
    for image in images:
        for (name, observer), values in zip(
            observers.items(), session.run([f"{name}.sample" for name in wanted], {"image": image[None]})
        ):
            try:
                observer.collect(values)
            except ValueError:
                raise ExportError(f"the network overflows in {name} on a calibration frame; train it again") from None
        report.advance()
    ranges = {name: observer.range() for name, observer in observers.items()}
    if not any(high for _, high in ranges.values()):
        raise ExportError("no frame was given to calibrate with; add footage with `edgeseg add footage PATH`")
    for node in network.graph.node:
        if node.op_type in ABSORBED:
            ranges[node.input[0]] = ranges[node.output[0]]
    return ranges


def quantise(network: ModelProto, interface: Interface, ranges: Ranges) -> ModelProto:
    """The whole graph with its network in INT8; what is in front of and behind the network stays float.

    Args:
        network: the float one that `ranges` were collected with.
    """
    limits = {}
    for name, (low, high) in ranges.items():
        high = max(high, SMALLEST)
        low = -high * 128 / 127 if low < 0 else 0.0  # makes the quantiser's zero point exactly 128, else 0
        limits[name] = TensorData(lowest=np.float32(low), highest=np.float32(high))
    quantiser = QDQQuantizer(
        infer_shapes(network), True, False, QuantType.QInt8, QuantType.QUInt8,
        TensorsData(CalibrationMethod.MinMax, limits), [node.name for node in network.graph.node], [], OPERATORS, {},
    )  # fmt: skip  # True: per channel, False: all 8 bits
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    graph = quantiser.model.model.graph
    constants: Constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    _check_zero_points(graph.node, constants)
    return wrap(assemble(network, list(graph.node), constants), interface, channels_last=True)


def inspect(network: ModelProto, data: bytes) -> Kernels:
    """Load the INT8 file as ONNX Runtime will, and count which kernels it takes."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimised.onnx"
        open_session(data, 1, optimised=target)
        kinds = Counter(node.op_type for node in onnx.load(target).graph.node)
    convolutions = sum(node.op_type == "Conv" for node in network.graph.node)
    return Kernels(convolutions, kinds["QLinearConv"], kinds["QuantizeLinear"] + kinds["DequantizeLinear"])


def _tensors(network: ModelProto) -> list[str]:
    """The tensors that may get codes: the network's input and what its nodes give, where that is not absorbed."""
    uses = Counter(name for node in network.graph.node for name in node.input)
    absorbed = {node.input[0] for node in network.graph.node if node.op_type in ABSORBED and uses[node.input[0]] == 1}
    shaped = infer_shapes(network).graph
    floats = {
        value.name
        for value in (*shaped.value_info, *shaped.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    given = [name for node in network.graph.node for name in node.output if name in floats]
    return ["normalised", *(name for name in given if name not in absorbed)]


def _sampled(model: ModelProto, network: ModelProto, wanted: list[str]) -> ModelProto:
    """`model` with a flat, regular sample of each wanted tensor as an output."""
    shaped = infer_shapes(network).graph
    sizes = {
        value.name: math.prod(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*shaped.value_info, *shaped.input, *shaped.output)
    }
    constants: Constants = {"sample.flat": np.array([-1], np.int64), "sample.start": np.array([0], np.int64)}
    nodes: list[NodeProto] = []
    for name in wanted:
        constants[f"{name}.end"] = np.array([sizes[name]], np.int64)
        constants[f"{name}.step"] = np.array([_stride(sizes[name])], np.int64)
        bounds = ["sample.start", f"{name}.end", "sample.start", f"{name}.step"]
        nodes.append(helper.make_node("Reshape", [name, "sample.flat"], [f"{name}.flat"]))
        nodes.append(helper.make_node("Slice", [f"{name}.flat", *bounds], [f"{name}.sample"]))
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    outputs = [helper.make_empty_tensor_value_info(f"{name}.sample") for name in wanted]
    graph = helper.make_graph(
        [*model.graph.node, *nodes], "sampled", model.graph.input, outputs, [*model.graph.initializer, *tensors]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _stride(size: int) -> int:
    """A step that gives about SAMPLES values and has no factor in common with the size, so no column is favoured."""
    step = max(1, size // SAMPLES)
    while math.gcd(step, size) > 1:
        step += 1
    return step


def _check_zero_points(nodes: Iterable[NodeProto], constants: Constants) -> None:
    for node in nodes:
        if node.op_type == "QuantizeLinear":
            zero = constants[node.input[2]]
            assert zero.dtype == np.uint8 and zero.item() in (0, 128), f"{node.name} has zero point {zero}"
