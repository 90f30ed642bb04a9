"""The exported network made fit for every engine: opset 17, IR 8, stable names, nothing in it but
the graph.

TensorRT 8.5 and 8.6 read opset 17 at most, and silently reduce over all axes when they meet a
ReduceMean of opset 18. torch's exporter writes 18, and onnx's own version converter leaves invalid
attributes behind, hence this pass. What it cannot express exactly it refuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from edgeseg.errors import ExportError
from edgeseg.version import __version__

OPSET, IR_VERSION = 17, 8
REDUCTIONS = frozenset(
    f"Reduce{kind}"
    for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)  # axes are an attribute up to opset 17; ReduceSum has had them as an input since 13
RESIZE_NEWS = {
    "antialias": 0,
    "keep_aspect_ratio_policy": b"stretch",
}  # attributes of opset 18 and what 17 always does
WEIGHTED = ("input", "weight", "bias")
ROLES = {  # what the inputs of these are called
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), WEIGHTED),
    "Clip": ("input", "min", "max"),
    "Resize": ("input", "roi", "scales", "sizes"),
}
Constants = dict[str, NDArray[Any]]  # Any: of whatever type the exporter wrote
Shapes = dict[str, tuple[int, ...]]


def lower(model: ModelProto) -> ModelProto:
    """A copy of `model` at opset 17 and IR 8 that computes the same.

    Raises:
        ExportError: an operator or an attribute has no equal in opset 17.
    """
    model = _clean(model)
    source = next(entry.version for entry in model.opset_import if entry.domain == "")
    shapes = static_shapes(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise ExportError(
                f"the network needs {node.domain}.{node.op_type}, which no device reads; choose another arch"
            )
        if node.op_type in REDUCTIONS:
            _lower_reduction(node, constants, shapes)
        elif node.op_type == "Resize":
            _lower_resize(node, shapes, constants)
        elif node.op_type == "Split":
            _lower_split(node, shapes, constants)
        elif node.op_type == "Pad":
            if len(node.input) > 3:
                _refuse(node, "pads along listed axes")
        elif _changed(node.op_type, source):
            _refuse(node, f"has no equal in opset {OPSET}")
        nodes.append(node)
    return assemble(model, _unstacked(nodes, constants), constants)


def assemble(model: ModelProto, nodes: list[NodeProto], constants: Constants) -> ModelProto:
    """A checked model of `nodes`, with the inputs and outputs of `model` and only the constants
    that are used.

    Raises:
        ExportError: the result is not valid ONNX.
    """
    used = {name for node in nodes for name in node.input}
    tensors = [
        numpy_helper.from_array(value, name) for name, value in constants.items() if name in used
    ]
    graph = helper.make_graph(nodes, "edgeseg", model.graph.input, model.graph.output, tensors)
    made = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="edgeseg",
        producer_version=__version__,
    )
    try:
        onnx.checker.check_model(made, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        what = (str(error).strip().splitlines() or [""])[0][:200]
        raise ExportError(
            f"the network cannot be written at opset {OPSET} ({what}); choose another arch or encoder"
        ) from None
    return made


def canonicalize_names(model: ModelProto) -> ModelProto:
    """A copy of `model` whose names follow from its structure and its weights, not from the version
    of torch.

    A layer is called as its weight, `encoder.model.conv_stem`; other nodes by kind and place,
    `add_3`; tensors as the node that makes them. Inputs and outputs of the model keep their names.
    """
    model = _clean(model)
    graph = model.graph
    fixed = {value.name for value in (*graph.input, *graph.output)}
    constants = {tensor.name for tensor in graph.initializer}
    names = {name: name for name in fixed} | {"": ""}
    numbers: Counter[str] = Counter()
    for node in graph.node:
        node.name = _node_name(node, constants, numbers)
        for place, name in enumerate(node.input):
            if name in constants and name not in names:
                names[name] = f"{node.name}.{_role(node, place)}"
        for place, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}.out{place or ''}")
    for node in graph.node:
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    return model


def _node_name(node: NodeProto, constants: Collection[str], numbers: Counter[str]) -> str:
    weight = node.input[1] if node.op_type in ROLES and len(node.input) > 1 else ""
    if weight in constants and weight.endswith(".weight"):
        layer = weight.removeprefix("network.").removesuffix(".weight")
        numbers[layer] += 1
        return (
            layer if numbers[layer] == 1 else f"{layer}_{numbers[layer]}"
        )  # one weight may serve several nodes
    kind = node.op_type.lower()
    numbers[kind] += 1
    return f"{kind}_{numbers[kind] - 1}"


def _role(node: NodeProto, place: int) -> str:
    roles = ROLES.get(node.op_type, ())
    return roles[place] if place < len(roles) else f"input{place}"


def _clean(model: ModelProto) -> ModelProto:
    """A copy without documentation and metadata, where the exporter writes stack traces with local
    paths.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    for message in (
        copy,
        copy.graph,
        *copy.graph.node,
        *copy.graph.initializer,
        *copy.graph.input,
        *copy.graph.output,
    ):
        message.ClearField("doc_string")
        message.ClearField("metadata_props")
    copy.graph.ClearField("value_info")
    return copy


def infer_shapes(model: ModelProto) -> ModelProto:
    """A copy of `model` that states the type and shape of every tensor."""
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def static_shapes(model: ModelProto) -> Shapes:
    """The static shapes, by tensor."""
    inferred = infer_shapes(model).graph
    shapes = {}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        sides = value.type.tensor_type.shape.dim
        if all(side.HasField("dim_value") for side in sides):
            shapes[value.name] = tuple(side.dim_value for side in sides)
    return shapes


def _changed(operator: str, source: int) -> bool:
    """Whether the operator is newer than opset 17, or its definition changed between there and
    `source`.
    """
    try:
        return bool(
            onnx.defs.get_schema(operator, OPSET).since_version
            != onnx.defs.get_schema(operator, source).since_version
        )
    except onnx.defs.SchemaError:
        return True


def _lower_reduction(node: NodeProto, constants: Constants, shapes: Shapes) -> None:
    attributes = attributes_of(node)
    rank = len(shapes[node.input[0]])
    if len(node.input) > 1 and node.input[1]:
        if node.input[1] not in constants:
            _refuse(node, "reduces along computed axes")
        axes = [int(axis) % rank for axis in np.atleast_1d(constants[node.input[1]])]
    else:
        axes = [int(axis) % rank for axis in attributes.get("axes", range(rank))]
    if not axes and attributes.get("noop_with_empty_axes"):
        _refuse(node, "reduces along no axis")
    del node.input[1:]
    node.ClearField("attribute")
    if (
        node.op_type == "ReduceMean"
        and attributes.get("keepdims", 1)
        and rank == 4
        and sorted(axes) == [2, 3]
    ):
        node.op_type = "GlobalAveragePool"  # the same, and ONNX Runtime runs it on 8-bit codes
        return
    node.attribute.extend(
        [
            helper.make_attribute("axes", axes or list(range(rank))),
            helper.make_attribute("keepdims", attributes.get("keepdims", 1)),
        ]
    )


def _lower_resize(node: NodeProto, shapes: Shapes, constants: Constants) -> None:
    attributes = attributes_of(node)
    for name, usual in RESIZE_NEWS.items():
        if attributes.get(name, usual) != usual:
            _refuse(node, f"uses {name}")
    if "axes" in attributes:
        _refuse(node, "resizes listed axes")
    before, after = shapes.get(node.input[0]), shapes.get(node.output[0])
    if before is None or after is None or len(before) != 4:
        _refuse(node, "resizes to a size that is not fixed")
    attributes = {name: value for name, value in attributes.items() if name not in RESIZE_NEWS}
    if before[2:] == (1, 1):  # one pixel is spread: nearest gives the same for less
        attributes = {
            "mode": b"nearest",
            "coordinate_transformation_mode": b"asymmetric",
            "nearest_mode": b"floor",
        }
    if all(new % old == 0 for old, new in zip(before, after)):
        scales = f"{node.output[0]}.scales"
        constants[scales] = np.array([new / old for old, new in zip(before, after)], np.float32)
        node.input[:] = [node.input[0], "", scales]
    node.ClearField("attribute")
    node.attribute.extend(
        helper.make_attribute(name, value) for name, value in sorted(attributes.items())
    )


def _lower_split(node: NodeProto, shapes: Shapes, constants: Constants) -> None:
    attributes = attributes_of(node)
    axis = int(attributes.get("axis", 0))
    if len(node.input) < 2 or not node.input[1]:
        parts = f"{node.output[0]}.split"
        constants[parts] = np.array([shapes[name][axis] for name in node.output], np.int64)
        node.input[:] = [node.input[0], parts]
    node.ClearField("attribute")
    node.attribute.append(helper.make_attribute("axis", axis))


def _unstacked(nodes: list[NodeProto], constants: Constants) -> list[NodeProto]:
    """Sums over tensors that were stacked for nothing else, as FPN merges its levels, become
    additions.

    They say the same, without a copy of all and a sum along the slowest axis, and an engine can
    fuse them.
    """
    givers = {name: node for node in nodes for name in node.output}
    readers = Counter(name for node in nodes for name in node.input)
    made: list[NodeProto] = []
    dead: set[str] = set()
    for node in nodes:
        stack = (
            givers.get(node.input[0])
            if node.op_type == "ReduceSum" and len(node.input) == 2
            else None
        )
        if stack is None or stack.op_type != "Concat" or attributes_of(node).get("keepdims", 1):
            made.append(node)
            continue
        axis = [attributes_of(stack)["axis"]]
        planes = [givers.get(name) for name in stack.input]
        wanted = [
            plane.input[0]
            for plane in planes
            if plane is not None
            and plane.op_type == "Unsqueeze"
            and _is(constants.get(plane.input[1]), axis)
        ]
        alone = all(readers[name] == 1 for name in (*stack.output, *stack.input))
        if (
            len(wanted) < max(2, len(planes))
            or not alone
            or not _is(constants.get(node.input[1]), axis)
        ):
            made.append(node)
            continue
        dead |= {*stack.output, *stack.input}
        sums = [
            *(f"{node.output[0]}.sum{place}" for place in range(len(wanted) - 2)),
            node.output[0],
        ]
        for one, other, given in zip([wanted[0], *sums], wanted[1:], sums):
            made.append(helper.make_node("Add", [one, other], [given], given))
    return [node for node in made if dead.isdisjoint(node.output)]


def _is(value: NDArray[Any] | None, numbers: list[int]) -> bool:  # Any: a constant of any type
    return value is not None and [int(each) for each in np.atleast_1d(value)] == numbers


def attributes_of(node: NodeProto) -> dict[str, Any]:  # Any: attributes have many types
    """The attributes of a node by name, those left out excepted."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _refuse(node: NodeProto, why: str) -> NoReturn:
    raise ExportError(
        f"the network's {node.op_type} {why}, "
        "so devices with TensorRT 8 could not read it; choose another arch or encoder"
    )
