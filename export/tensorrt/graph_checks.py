"""Points 1 to 5 of the TensorRT checklist: whether the parsers of 8.5 to 11 can read the graph at
all.

Each point looks at a `View` and returns what it found wrong, a sentence for each fault that names
the node. None of them needs TensorRT.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

from edgeseg.bundle.onnx_scan import STANDARD_DOMAINS
from edgeseg.errors import ExportError
from edgeseg.export.graph.lowering import IR_VERSION, OPSET, attributes_of, infer_shapes
from edgeseg.export.graph.qdq_nodes import GraphTopology

ALLOWED = frozenset(
    {
        "Abs",
        "Add",
        "ArgMax",
        "AveragePool",
        "BatchNormalization",
        "Cast",
        "Clip",
        "Concat",
        "Constant",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "DequantizeLinear",
        "Div",
        "Equal",
        "Exp",
        "Expand",
        "Flatten",
        "Gather",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Greater",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "InstanceNormalization",
        "LeakyRelu",
        "Less",
        "Log",
        "LogSoftmax",
        "MatMul",
        "Max",
        "MaxPool",
        "Min",
        "Mul",
        "Neg",
        "PRelu",
        "Pad",
        "Pow",
        "QuantizeLinear",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Resize",
        "Sigmoid",
        "Slice",
        "Softmax",
        "SpaceToDepth",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tanh",
        "TopK",
        "Transpose",
        "Unsqueeze",
        "Where",
    }
)  # what the operator tables of TensorRT 8.5 and 10 have in common
FOREIGN_TYPES = frozenset(
    {TensorProto.DOUBLE, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128}
)
COORDINATES = frozenset({b"half_pixel", b"pytorch_half_pixel", b"align_corners", b"asymmetric"})
FIXED = frozenset(
    {
        "Clip",
        "Expand",
        "Pad",
        "ReduceSum",
        "Reshape",
        "Resize",
        "Slice",
        "Split",
        "Squeeze",
        "Unsqueeze",
    }
)
"""Operators whose inputs but the first must be constants."""


class GraphView:
    """A graph as the points look at it. What is damaged is left out here; a point tells of it.

    Attributes:
        model: the file.
        nodes: in their order.
        constants: initializers by name.
        givers: the node that makes a tensor.
        takers: the nodes that read a tensor.
        data: gives the inputs of a node that are no constants.
        inputs, outputs: names of the graph's own.
        values: type and shape by tensor, as far as they can be inferred.
        metadata: of the file.
    """

    def __init__(self, data: bytes) -> None:
        try:
            self.model = onnx.load_model_from_string(data)
        except DecodeError:
            raise ExportError(
                "the file is no ONNX file; export the bundle again with `edgeseg export`"
            ) from None
        graph, wiring = self.model.graph, GraphTopology(self.model)
        self.nodes, self.constants = wiring.nodes, wiring.constants
        self.givers, self.takers, self.data = wiring.producers, wiring.consumers, wiring.data_inputs
        self.inputs = [value.name for value in graph.input]
        self.outputs = [value.name for value in graph.output]
        self.values = {value.name: value for value in _inferred(self.model)}
        self.metadata = {entry.key: entry.value for entry in self.model.metadata_props}

    def kind(self, name: str) -> str:
        """Of the node that gives a tensor; empty for constants and inputs."""
        giver = self.givers.get(name)
        return giver.op_type if giver is not None else ""

    def shape(self, name: str) -> tuple[int, ...]:
        """The sizes of a tensor, 0 where one is not fixed; empty also where nothing is known."""
        value = self.values.get(name)
        return (
            tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
            if value is not None
            else ()
        )

    def type(self, name: str) -> int:
        """The number of a tensor's element type, 0 where it is not known."""
        value = self.values.get(name)
        return value.type.tensor_type.elem_type if value is not None else 0


def _inferred(model: ModelProto) -> list[onnx.ValueInfoProto]:
    with suppress(onnx.shape_inference.InferenceError):  # point 1 tells of it
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return [*model.graph.value_info, *model.graph.input, *model.graph.output]


def describe_node(node: NodeProto) -> str:
    """What a sentence calls a node."""
    return f"{node.op_type} {node.name or node.output[0]}"


def attribute_value(
    node: NodeProto, name: str, default: Any
) -> Any:  # Any: attributes have many types
    """The value of an attribute."""
    return attributes_of(node).get(name, default)


def check_model(view: GraphView) -> list[str]:
    """1: valid ONNX of an opset that TensorRT 8 reads, of standard operators, with its weights
    inside.
    """
    model, found = view.model, []
    try:
        onnx.checker.check_model(model, full_check=True)
        infer_shapes(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        what = " ".join((str(error).strip().splitlines() or [""])[0].split())[:200]
        found.append(f"it is no valid ONNX ({what})")
    for entry in model.opset_import:
        if entry.domain not in STANDARD_DOMAINS:
            found.append(f"it imports operators of {entry.domain}")
        elif entry.version != OPSET:
            found.append(f"it has opset {entry.version}, but TensorRT 8 reads {OPSET}")
    if model.ir_version > IR_VERSION:
        found.append(f"it has IR version {model.ir_version}, more than {IR_VERSION}")
    if model.functions:
        found.append(f"it has functions of its own, such as {model.functions[0].name}")
    found += [f"{describe_node(node)} is of the domain {node.domain}" for node in _foreign(view)]
    external = [
        one.name for one in model.graph.initializer if one.data_location == TensorProto.EXTERNAL
    ]
    return found + [f"the weight {name} lies in another file" for name in external]


def _foreign(view: GraphView) -> list[NodeProto]:
    return [node for node in view.nodes if node.domain not in STANDARD_DOMAINS]


def check_operators(view: GraphView) -> list[str]:
    """2: every operator is known to TensorRT 8.5 and later, and so is every type."""
    found = []
    for node in view.nodes:
        if node.op_type not in ALLOWED or node.domain not in STANDARD_DOMAINS:
            found.append(f"{describe_node(node)} is no operator that TensorRT 8.5 to 11 all have")
        elif any(
            one.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for one in node.attribute
        ):
            found.append(f"{describe_node(node)} holds a graph of its own")
    types = {name: value.type.tensor_type.elem_type for name, value in view.values.items()}
    types |= {tensor.name: tensor.data_type for tensor in view.model.graph.initializer}
    return found + [
        f"{name} has the type {TensorProto.DataType.Name(kind)}, which TensorRT does not compute with"
        for name, kind in types.items()
        if kind in FOREIGN_TYPES
    ]


def check_shapes(view: GraphView) -> list[str]:
    """3: the size of every tensor is written down or follows."""
    found = [
        f"{describe_node(node)} computes a shape" for node in view.nodes if node.op_type == "Shape"
    ]
    for name in [
        *view.inputs,
        *(name for node in view.nodes for name in node.output if name),
        *view.outputs,
    ]:
        value = view.values.get(name)
        if value is None or not value.type.tensor_type.HasField("shape"):
            found.append(f"the shape of {name} is not known")
        elif any(side.dim_value <= 0 for side in value.type.tensor_type.shape.dim):
            found.append(f"the shape of {name} is not fixed")
    return list(dict.fromkeys(found))


def check_attributes(view: GraphView) -> list[str]:
    """4: axes, sizes and modes are where TensorRT 8 looks for them."""
    found = []
    for node in view.nodes:
        if (
            node.op_type.startswith("Reduce")
            and node.op_type != "ReduceSum"
            and len(node.input) > 1
        ):
            found.append(
                f"{describe_node(node)} has its axes as an input, and TensorRT 8 would reduce over all of them"
            )
        if node.op_type in FIXED:
            computed = [name for name in node.input[1:] if name and name not in view.constants]
            found += [
                f"{describe_node(node)} takes {name}, which is no constant" for name in computed
            ]
        if node.op_type == "Resize":
            found += _resize(view, node)
        elif node.op_type == "MaxPool" and len(node.output) > 1:
            found.append(f"{describe_node(node)} also gives indices")
        elif node.op_type == "ArgMax" and attribute_value(node, "select_last_index", 0):
            found.append(f"{describe_node(node)} takes the last of equal values")
        if node.op_type in ("AveragePool", "MaxPool") and any(
            step != 1 for step in attribute_value(node, "dilations", [])
        ):
            found.append(f"{describe_node(node)} is dilated")
    return found


def _resize(view: GraphView, node: NodeProto) -> list[str]:
    found, name = [], describe_node(node)
    mode = attribute_value(node, "mode", b"nearest")
    if mode not in (b"nearest", b"linear"):
        found.append(f"{name} has the mode {mode.decode()}")
    coordinates = attribute_value(node, "coordinate_transformation_mode", b"half_pixel")
    if coordinates not in COORDINATES:
        found.append(f"{name} has the coordinates {coordinates.decode()}")
    if attribute_value(node, "antialias", 0):
        found.append(f"{name} has antialias")
    before, after = view.shape(node.input[0]), view.shape(node.output[0])
    if mode == b"linear" and before[:-2] != after[:-2]:
        found.append(f"{name} blends along other axes than the last two")
    return found


def check_byte_casts(view: GraphView) -> list[str]:
    """5: uint8 goes in and out through a Cast from and to float, and is nowhere else."""
    found = []
    for name in view.inputs:
        takers = view.takers[name]
        if view.type(name) == TensorProto.UINT8 and (
            [node.op_type for node in takers] != ["Cast"]
            or attribute_value(takers[0], "to", 0) != TensorProto.FLOAT
        ):
            readers = ", ".join(describe_node(node) for node in takers) or "nothing"
            found.append(
                f"the uint8 input {name} feeds {readers}; TensorRT wants one Cast to float and nothing else"
            )
    for node in view.nodes:
        for name in node.output:
            if view.type(name) != TensorProto.UINT8:
                continue
            if name not in view.outputs:
                found.append(f"{describe_node(node)} gives uint8 inside the graph")
            elif node.op_type != "Cast" or view.type(node.input[0]) != TensorProto.FLOAT:
                found.append(
                    f"the uint8 output {name} comes from {describe_node(node)}, not from a Cast of a float"
                )
    return found


def scalar(value: NDArray[Any]) -> float:  # Any: as View.constants
    """The one value of a constant that has but one."""
    return float(np.asarray(value).reshape(-1)[0])
