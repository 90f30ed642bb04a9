"""Point 4 of the TensorRT checklist: whether axes, sizes and modes are what parsers take.

What NVIDIA's own parser says of each fault stands in `tests/helpers/planted/expectations.py`. The
newest one reads axes as an input, Resize in cubic mode or along channels, ArgMax that takes the
last of equal values, and parameters that nodes compute. These findings stay for the parsers of 8.5
to 10, which refuse such nodes, or read them as something else without a word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from onnx import NodeProto

from edgeseg.export.graph.graph_view import CHANNEL_AXIS, GraphView, attribute_value, describe_node

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
MAX_TOPK = 3840  # the most that a TopK layer gives


def check_attributes(view: GraphView) -> list[str]:
    """Point 4: axes, sizes and modes are where TensorRT looks for them, and what it takes."""
    return [
        f"{describe_node(node)} {fault}"
        for node in view.nodes
        for faults in (_input_faults, _mode_faults, _size_faults)
        for fault in faults(view, node)
    ]


def _input_faults(view: GraphView, node: NodeProto) -> Iterator[str]:
    """Yield what stands among the inputs where parsers want an attribute or a constant."""
    operator = node.op_type
    if operator.startswith("Reduce") and operator != "ReduceSum" and len(node.input) > 1:
        yield "has its axes as an input, and TensorRT 8 would reduce over all of them"
    if operator in CONSTANT_INPUTS:
        for parameter in node.input[1:]:
            if parameter and parameter not in view.constants:
                yield f"takes {parameter}, which is no constant"
    if operator == "Slice" and not (len(node.input) > 3 and node.input[3]):
        starts = view.constants.get(node.input[1])
        if starts is not None and starts.size < len(view.shape(node.input[0])):
            yield "cuts the first axes without naming them, which TensorRT takes for all axes"


def _mode_faults(view: GraphView, node: NodeProto) -> Iterator[str]:
    operator = node.op_type
    if operator == "Resize":
        yield from _resize_faults(view, node)
    elif operator == "MaxPool" and len(node.output) > 1:
        yield "also gives indices"
    elif operator == "ArgMax" and attribute_value(node, "select_last_index", 0):
        yield "takes the last of equal values"
    elif operator == "BatchNormalization" and attribute_value(node, "training_mode", 0):
        yield "is in training mode"
    is_dilated = any(step != 1 for step in attribute_value(node, "dilations", []))
    if operator in ("AveragePool", "MaxPool") and is_dilated:
        yield "is dilated"


def _resize_faults(view: GraphView, node: NodeProto) -> Iterator[str]:
    mode = attribute_value(node, "mode", b"nearest")
    if mode not in RESIZE_MODES:
        yield f"has the mode {mode.decode()}"
    coordinates = attribute_value(node, "coordinate_transformation_mode", b"half_pixel")
    if coordinates not in RESIZE_COORDINATES:
        yield f"has the coordinates {coordinates.decode()}"
    if attribute_value(node, "antialias", 0):
        yield "has antialias"
    before, after = view.shape(node.input[0]), view.shape(node.output[0])
    if mode == b"linear" and before[:-2] != after[:-2]:
        yield "blends along other axes than the last two"


def _size_faults(view: GraphView, node: NodeProto) -> Iterator[str]:
    """Yield sizes that do not go together, or are too large; shape inference looks at few."""
    if node.op_type in CHANNEL_AXIS:
        yield from _convolution_faults(view, node)
    elif node.op_type == "Reshape":
        before, after = view.shape(node.input[0]), view.shape(node.output[0])
        if before and all(before) and all(after) and math.prod(before) != math.prod(after):
            yield f"makes {math.prod(after)} values of {math.prod(before)}"
    elif node.op_type == "TopK":
        number = view.constants.get(node.input[1])
        if number is not None and number.size == 1 and int(number.reshape(())) > MAX_TOPK:
            yield f"takes {int(number.reshape(()))} values, more than {MAX_TOPK}"


def _convolution_faults(view: GraphView, node: NodeProto) -> Iterator[str]:
    """Yield what does not fit the weight of a convolution.

    A Conv from 32 to 64 channels in 4 groups has a weight of 64x8x3x3: 64 biases, 4 * 8 = 32
    channels of data. A ConvTranspose of the same has 32x16x3x3: 4 * 16 = 64 biases.
    """
    data, weight = view.shape(node.input[0]), view.shape(node.input[1])
    weight = weight or np.shape(view.constants.get(node.input[1], ()))
    if len(weight) < 3 or not all(weight):
        return  # point 3 reports it
    groups = attribute_value(node, "group", 1)
    inner, outer = groups * weight[1], weight[0]
    inputs, outputs = (inner, outer) if node.op_type == "Conv" else (outer, inner)
    if len(data) > 1 and data[1] and data[1] != inputs:
        yield f"takes {inputs} channels, and its data has {data[1]}"
    bias = view.constants.get(node.input[2]) if len(node.input) > 2 else None
    if bias is not None and bias.size != outputs:
        yield f"has {bias.size} biases for {outputs} channels"
