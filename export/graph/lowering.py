"""The exported network lowered to what every engine reads: opset 17, IR 8, the standard domain.

TensorRT 8.5 and 8.6 read opset 17 at most, and silently reduce over all axes when they meet a
ReduceMean of opset 18. torch's exporter writes 18, and onnx's own version converter leaves invalid
attributes behind, hence this pass. What it cannot express exactly it refuses.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from edgeseg.errors import ExportError
from edgeseg.export.graph.onnx_helpers import (
    OPSET,
    Constants,
    Shapes,
    assemble,
    attributes_of,
    constants_of,
    static_shapes,
    strip_metadata,
)

# axes are an attribute up to opset 17; ReduceSum has had them as an input since 13
REDUCTIONS = frozenset(
    f"Reduce{kind}"
    for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)
# attributes of Resize that are new in opset 18, and what 17 always does
NEW_RESIZE_ATTRIBUTES = {"antialias": 0, "keep_aspect_ratio_policy": b"stretch"}


def lower(model: ModelProto) -> ModelProto:
    """Return a copy of `model` at opset 17 and IR 8 that computes the same.

    Raises:
        ExportError: An operator or an attribute has no equal in opset 17.
    """
    model = strip_metadata(model)
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    shapes = static_shapes(model)
    constants = constants_of(model)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise ExportError(
                f"the network needs {node.domain}.{node.op_type}, which no device reads; "
                "choose another arch"
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
        elif _definition_differs(node.op_type, opset):
            _refuse(node, f"has no equal in opset {OPSET}")
        nodes.append(node)
    return assemble(model, _replace_stacked_sums(nodes, constants), constants)


def _definition_differs(operator: str, opset: int) -> bool:
    """Return True for an operator that opset 17 lacks or defines otherwise than `opset`."""
    try:
        return bool(
            onnx.defs.get_schema(operator, OPSET).since_version
            != onnx.defs.get_schema(operator, opset).since_version
        )
    except onnx.defs.SchemaError:
        return True


def _lower_reduction(node: NodeProto, constants: Constants, shapes: Shapes) -> None:
    """Turn the axes into an attribute; a mean over the image becomes a GlobalAveragePool."""
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
    keepdims = attributes.get("keepdims", 1)
    if node.op_type == "ReduceMean" and keepdims and rank == 4 and sorted(axes) == [2, 3]:
        node.op_type = "GlobalAveragePool"  # the same, and ONNX Runtime runs it in INT8
        return
    node.attribute.extend(
        [
            helper.make_attribute("axes", axes or list(range(rank))),
            helper.make_attribute("keepdims", keepdims),
        ]
    )


def _lower_resize(node: NodeProto, shapes: Shapes, constants: Constants) -> None:
    """Drop the attributes that are new; whole factors are given as scales."""
    attributes = attributes_of(node)
    for name, default in NEW_RESIZE_ATTRIBUTES.items():
        if attributes.get(name, default) != default:
            _refuse(node, f"uses {name}")
    if "axes" in attributes:
        _refuse(node, "resizes listed axes")
    before, after = shapes.get(node.input[0]), shapes.get(node.output[0])
    if before is None or after is None or len(before) != 4:
        _refuse(node, "resizes to a size that is not fixed")
    attributes = {
        name: value for name, value in attributes.items() if name not in NEW_RESIZE_ATTRIBUTES
    }
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
    """Give the sizes of the parts as an input instead of their number."""
    attributes = attributes_of(node)
    axis = int(attributes.get("axis", 0))
    if len(node.input) < 2 or not node.input[1]:
        sizes = f"{node.output[0]}.split"
        constants[sizes] = np.array([shapes[name][axis] for name in node.output], np.int64)
        node.input[:] = [node.input[0], sizes]
    node.ClearField("attribute")
    node.attribute.append(helper.make_attribute("axis", axis))


def _replace_stacked_sums(nodes: list[NodeProto], constants: Constants) -> list[NodeProto]:
    """Replace sums over tensors that were stacked for nothing else by additions.

    So FPN merges its levels: Unsqueeze a, b and c, Concat, ReduceSum along the new axis becomes
    (a + b) + c. It is the same without a copy of all and a sum along the slowest axis, and an
    engine can fuse it.
    """
    producers = {name: node for node in nodes for name in node.output}
    readers = Counter(name for node in nodes for name in node.input)
    result: list[NodeProto] = []
    removed: set[str] = set()
    for node in nodes:
        stack = (
            producers.get(node.input[0])
            if node.op_type == "ReduceSum" and len(node.input) == 2
            else None
        )
        if stack is None or stack.op_type != "Concat" or attributes_of(node).get("keepdims", 1):
            result.append(node)
            continue
        axis = [attributes_of(stack)["axis"]]
        planes = [producers.get(name) for name in stack.input]
        summands = [
            plane.input[0]
            for plane in planes
            if plane is not None
            and plane.op_type == "Unsqueeze"
            and _equals(constants.get(plane.input[1]), axis)
        ]
        all_unsqueezed = len(summands) >= max(2, len(planes))
        read_once = all(readers[name] == 1 for name in (*stack.output, *stack.input))
        if not (all_unsqueezed and read_once and _equals(constants.get(node.input[1]), axis)):
            result.append(node)
            continue
        removed |= {*stack.output, *stack.input}
        total = node.output[0]
        partial_sums = [*(f"{total}.sum{place}" for place in range(len(summands) - 2)), total]
        left_sides = [summands[0], *partial_sums]
        for left, right, partial in zip(left_sides, summands[1:], partial_sums):
            result.append(helper.make_node("Add", [left, right], [partial], partial))
    return [node for node in result if removed.isdisjoint(node.output)]


def _equals(value: NDArray[Any] | None, numbers: list[int]) -> bool:  # Any: a constant of any type
    return value is not None and [int(number) for number in np.atleast_1d(value)] == numbers


def _refuse(node: NodeProto, why: str) -> NoReturn:
    raise ExportError(
        f"the network's {node.op_type} {why}, "
        "so devices with TensorRT 8 could not read it; choose another arch or encoder"
    )
