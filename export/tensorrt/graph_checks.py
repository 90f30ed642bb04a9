"""Points 1 to 5 of the TensorRT checklist: whether the parsers of 8.5 to 11 can read the graph.

Each check looks at a `GraphView` and returns a sentence for each fault, which names the node. None
of them needs TensorRT.
"""

from __future__ import annotations

import onnx
from onnx import AttributeProto, NodeProto, TensorProto

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
FOREIGN_TYPES = frozenset(
    {TensorProto.DOUBLE, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128}
)
RESIZE_MODES = frozenset({b"nearest", b"linear"})
RESIZE_COORDINATES = frozenset(
    {b"half_pixel", b"pytorch_half_pixel", b"align_corners", b"asymmetric"}
)
# Operators whose inputs but the first must be constants.
CONSTANT_INPUTS = frozenset(
    """
    Clip Expand Pad ReduceSum Reshape Resize Slice Split Squeeze Unsqueeze
    """.split()  # noqa: SIM905  # one a line would take a screen
)


def check_model(view: GraphView) -> list[str]:
    """Point 1: valid ONNX of an opset that TensorRT 8 reads, standard, with its weights inside."""
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
    return findings + [
        f"the weight {tensor.name} lies in another file"
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    ]


def check_operators(view: GraphView) -> list[str]:
    """Point 2: TensorRT 8.5 and later know every operator, and every type."""
    findings = []
    for node in view.nodes:
        if node.op_type not in ALLOWED_OPERATORS or node.domain not in STANDARD_DOMAINS:
            findings.append(
                f"{describe_node(node)} is no operator that TensorRT 8.5 to 11 all have"
            )
        elif any(_is_graph(attribute) for attribute in node.attribute):
            findings.append(f"{describe_node(node)} holds a graph of its own")
    types = {name: value.type.tensor_type.elem_type for name, value in view.values.items()}
    types |= {tensor.name: tensor.data_type for tensor in view.model.graph.initializer}
    return findings + [
        f"{name} has the type {TensorProto.DataType.Name(element_type)}, which TensorRT does not "
        "compute with"
        for name, element_type in types.items()
        if element_type in FOREIGN_TYPES
    ]


def _is_graph(attribute: AttributeProto) -> bool:
    return attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def check_shapes(view: GraphView) -> list[str]:
    """Point 3: the sides of every tensor are fixed, written down or by inference."""
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
    return list(dict.fromkeys(findings))


def check_attributes(view: GraphView) -> list[str]:
    """Point 4: axes, sizes and modes are where TensorRT 8 looks for them."""
    findings = []
    for node in view.nodes:
        name, operator = describe_node(node), node.op_type
        has_axes_as_input = operator.startswith("Reduce") and len(node.input) > 1
        if has_axes_as_input and operator != "ReduceSum":
            findings.append(
                f"{name} has its axes as an input, and TensorRT 8 would reduce over all of them"
            )
        if operator in CONSTANT_INPUTS:
            findings += [
                f"{name} takes {parameter}, which is no constant"
                for parameter in node.input[1:]
                if parameter and parameter not in view.constants
            ]
        if operator == "Resize":
            findings += _resize_findings(view, node)
        elif operator == "MaxPool" and len(node.output) > 1:
            findings.append(f"{name} also gives indices")
        elif operator == "ArgMax" and attribute_value(node, "select_last_index", 0):
            findings.append(f"{name} takes the last of equal values")
        is_dilated = any(step != 1 for step in attribute_value(node, "dilations", []))
        if operator in ("AveragePool", "MaxPool") and is_dilated:
            findings.append(f"{name} is dilated")
    return findings


def _resize_findings(view: GraphView, node: NodeProto) -> list[str]:
    findings, name = [], describe_node(node)
    mode = attribute_value(node, "mode", b"nearest")
    if mode not in RESIZE_MODES:
        findings.append(f"{name} has the mode {mode.decode()}")
    coordinates = attribute_value(node, "coordinate_transformation_mode", b"half_pixel")
    if coordinates not in RESIZE_COORDINATES:
        findings.append(f"{name} has the coordinates {coordinates.decode()}")
    if attribute_value(node, "antialias", 0):
        findings.append(f"{name} has antialias")
    before, after = view.shape(node.input[0]), view.shape(node.output[0])
    if mode == b"linear" and before[:-2] != after[:-2]:
        findings.append(f"{name} blends along other axes than the last two")
    return findings


def check_byte_casts(view: GraphView) -> list[str]:
    """Point 5: uint8 goes in and out through a Cast from and to float, and is nowhere else."""
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
