"""Points 1 to 3 and 5 of the TensorRT checklist: can the parsers of 8.5 to 11 read the graph?

Each check looks at a `GraphView` and returns a sentence for each fault, which names the node. None
of them needs TensorRT. What NVIDIA's own parser says of each fault stands in
`tests/helpers/planted/expectations.py`; where it takes what a check refuses, the check says why it
stays. Point 4 is in `attribute_checks`.
"""

from __future__ import annotations

from collections import Counter

import onnx
from onnx import AttributeProto, TensorProto

from edgeseg.bundle.onnx_scan import STANDARD_DOMAINS
from edgeseg.export.graph.graph_view import GraphView, attribute_value, describe_node
from edgeseg.export.graph.onnx_helpers import IR_VERSION, OPSET, infer_shapes

# What the operator tables of TensorRT 8.5 and 10 have in common.
ALLOWED_OPERATORS = frozenset(
    """
    Abs Add ArgMax AveragePool BatchNormalization Cast Clip Concat Constant Conv ConvTranspose
    DepthToSpace DequantizeLinear Div Equal Erf Exp Expand Flatten Gather Gemm GlobalAveragePool
    GlobalMaxPool Greater HardSigmoid HardSwish Identity InstanceNormalization LeakyRelu Less
    Log LogSoftmax MatMul Max MaxPool Min Mul Neg PRelu Pad Pow QuantizeLinear ReduceMax
    ReduceMean ReduceMin ReduceSum Relu Reshape Resize Sigmoid Slice Softmax SpaceToDepth Split
    Sqrt Squeeze Sub Tanh TopK Transpose Unsqueeze Where
    """.split()  # noqa: SIM905  # one a line would take a screen
)
# What TensorRT 8.5 to 11 all compute with, or take in and give (UINT8).
ALLOWED_TYPES = frozenset(
    {
        *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8),
        *(TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL),
    }
)
FLOAT_TYPES = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})
FLOAT_OPERATORS = frozenset({"Gemm", "MatMul", "Relu", "Resize"})  # ONNX has them for integers too
MAX_RANK = 8


def check_model(view: GraphView) -> list[str]:
    """Point 1: valid ONNX of an opset that TensorRT 8 reads, standard, with its weights inside.

    NVIDIA's newest parser takes later opsets and IR versions, looks at no domain of operators that
    it knows, and expands functions. TensorRT 8 does not; and it reduces over all axes, without a
    word, where it meets a reduction of opset 18. Weights in another file are refused by all.
    """
    model, findings = view.model, []
    try:
        onnx.checker.check_model(model, full_check=True)
        infer_shapes(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        findings.append(f"it is no valid ONNX ({' '.join(first_line.split())[:200]})")
    for entry in model.opset_import:
        if entry.domain not in STANDARD_DOMAINS:
            findings.append(f"it imports operators of {entry.domain}")
        elif entry.version != OPSET:
            findings.append(f"it has opset {entry.version}, but TensorRT 8 reads {OPSET}")
    if model.ir_version > IR_VERSION:
        findings.append(f"it has IR version {model.ir_version}, more than {IR_VERSION}")
    if model.functions:
        findings.append(f"it has functions of its own, such as {model.functions[0].name}")
    findings += [
        f"{describe_node(node)} is of the domain {node.domain}"
        for node in view.nodes
        if node.domain not in STANDARD_DOMAINS
    ]
    times = Counter(node.name for node in view.nodes if node.name)
    findings += [
        f"{number} nodes are called {name}" for name, number in times.items() if number > 1
    ]
    return findings + [
        f"the weight {tensor.name} lies in another file"
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    ]


def check_operators(view: GraphView) -> list[str]:
    """Point 2: TensorRT 8.5 and later know every operator, and every type.

    The newest parser has operators that 8.5 lacks, LayerNormalization and Softplus among them,
    branches and loops, and reads doubles as floats, clamped with a warning. None of that is for
    every TensorRT that a bundle may meet.
    """
    findings = []
    for node in view.nodes:
        if node.op_type not in ALLOWED_OPERATORS or node.domain not in STANDARD_DOMAINS:
            findings.append(
                f"{describe_node(node)} is no operator that TensorRT 8.5 to 11 all have"
            )
        elif any(_is_graph(attribute) for attribute in node.attribute):
            findings.append(f"{describe_node(node)} holds a graph of its own")
        elif node.op_type in FLOAT_OPERATORS:
            element_type = view.element_type(node.input[0])
            if element_type in ALLOWED_TYPES - FLOAT_TYPES:
                findings.append(
                    f"{describe_node(node)} takes {_type_name(element_type)}, and TensorRT has it "
                    "for floats alone"
                )
    types = {name: value.type.tensor_type.elem_type for name, value in view.values.items()}
    types |= {tensor.name: tensor.data_type for tensor in view.model.graph.initializer}
    return findings + [
        f"{name} has the type {_type_name(element_type)}, which TensorRT 8.5 to 11 do not all know"
        for name, element_type in types.items()
        if element_type and element_type not in ALLOWED_TYPES
    ]


def _type_name(element_type: int) -> str:
    return str(TensorProto.DataType.Name(element_type))


def _is_graph(attribute: AttributeProto) -> bool:
    return attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def check_shapes(view: GraphView) -> list[str]:
    """Point 3: the sides of every tensor are fixed, written down or by inference.

    A parser takes an open size and computes shapes; the builder then wants an optimization profile,
    which edgeseg never gives: a device has one camera with one size.
    """
    findings = [
        f"{describe_node(node)} computes a shape" for node in view.nodes if node.op_type == "Shape"
    ]
    made = [name for node in view.nodes for name in node.output if name]
    for name in [*view.inputs, *made, *view.outputs]:
        value = view.values.get(name)
        if value is None or not value.type.tensor_type.HasField("shape"):
            findings.append(f"the shape of {name} is not known")
        elif any(side.dim_value <= 0 for side in value.type.tensor_type.shape.dim):
            findings.append(f"the shape of {name} is not fixed")
        elif len(value.type.tensor_type.shape.dim) > MAX_RANK:
            findings.append(f"{name} has more than {MAX_RANK} axes")
    return list(dict.fromkeys(findings))


def check_byte_casts(view: GraphView) -> list[str]:
    """Point 5: uint8 goes in and out through a Cast from and to float, and is nowhere else.

    Every parser refuses uint8 in the middle. The newest also takes an input that several Casts
    read, and an output that is cast from integers, which 8.5 to 10 do not.
    """
    findings = []
    for name in view.inputs:
        if view.element_type(name) == TensorProto.UINT8 and not _is_cast_to_float(view, name):
            readers = ", ".join(map(describe_node, view.consumers[name])) or "nothing"
            findings.append(
                f"the uint8 input {name} feeds {readers}; TensorRT wants one Cast to float and "
                "nothing else"
            )
    for node in view.nodes:
        for name in node.output:
            if view.element_type(name) != TensorProto.UINT8:
                continue
            if name not in view.outputs:
                findings.append(f"{describe_node(node)} gives uint8 inside the graph")
            elif node.op_type != "Cast" or view.element_type(node.input[0]) != TensorProto.FLOAT:
                findings.append(
                    f"the uint8 output {name} comes from {describe_node(node)}, not from a Cast "
                    "of a float"
                )
    return findings


def _is_cast_to_float(view: GraphView, name: str) -> bool:
    """Return whether one Cast to float reads a tensor, and nothing else."""
    readers = view.consumers[name]
    if [node.op_type for node in readers] != ["Cast"]:
        return False
    return bool(attribute_value(readers[0], "to", 0) == TensorProto.FLOAT)
