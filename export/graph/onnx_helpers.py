"""Helpers for ONNX models: versions, assembly, shapes, attributes."""

from __future__ import annotations

from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from edgeseg.errors import ExportError
from edgeseg.version import __version__

OPSET, IR_VERSION = 17, 8
Constants = dict[str, NDArray[Any]]  # Any: of whatever type the exporter wrote
Shapes = dict[str, tuple[int, ...]]


def assemble(model: ModelProto, nodes: list[NodeProto], constants: Constants) -> ModelProto:
    """Return a checked model of `nodes` with the inputs and outputs of `model`.

    It holds those of the constants that are used, in their order.

    Raises:
        ExportError: The result is not valid ONNX.
    """
    used = {name for node in nodes for name in node.input}
    tensors = [
        numpy_helper.from_array(value, name) for name, value in constants.items() if name in used
    ]
    graph = helper.make_graph(nodes, "edgeseg", model.graph.input, model.graph.output, tensors)
    assembled = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="edgeseg",
        producer_version=__version__,
    )
    try:
        onnx.checker.check_model(assembled, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        what = (str(error).strip().splitlines() or [""])[0][:200]
        raise ExportError(
            f"the network cannot be written at opset {OPSET} ({what}); "
            "choose another arch or encoder"
        ) from None
    return assembled


def constants_of(model: ModelProto) -> Constants:
    """Return the initializers as arrays, by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def copy_node(node: NodeProto) -> NodeProto:
    """Return a copy that may be changed."""
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def copy_model(model: ModelProto) -> ModelProto:
    """Return a copy that may be changed."""
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def attributes_of(node: NodeProto) -> dict[str, Any]:  # Any: attributes have many types
    """Return the attributes of a node by name; those left out are absent."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def infer_shapes(model: ModelProto) -> ModelProto:
    """Return a copy of `model` that states the type and shape of every tensor."""
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def static_shapes(model: ModelProto) -> Shapes:
    """Return the shapes of all tensors whose every side is fixed, by tensor."""
    return stated_shapes(infer_shapes(model))


def stated_shapes(inferred: ModelProto) -> Shapes:
    """Return what `static_shapes` does, of a model from `infer_shapes`."""
    graph = inferred.graph
    shapes = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        sides = value.type.tensor_type.shape.dim
        if all(side.HasField("dim_value") for side in sides):
            shapes[value.name] = tuple(side.dim_value for side in sides)
    return shapes


def strip_metadata(model: ModelProto) -> ModelProto:
    """Return a copy without documentation, metadata and stated shapes.

    The exporter writes stack traces with local paths there.
    """
    copy = copy_model(model)
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
