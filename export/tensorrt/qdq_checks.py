"""Points 6 to 10 of the TensorRT checklist: whether Q/DQ nodes are such that TensorRT takes its
INT8 kernels.

Where Q/DQ nodes belong is told in `edgeseg.export.tensorrt.qdq_placement`; here the finished file
is looked at, whoever made it.
"""

from __future__ import annotations

import json
import math

import numpy as np
from onnx import NodeProto

from edgeseg.bundle.graph_metadata import FLOAT_CONVOLUTIONS_KEY, FLOAT_TENSORS_KEY
from edgeseg.export.graph.qdq_nodes import WEIGHT_STEPS
from edgeseg.export.tensorrt.graph_checks import GraphView, attribute_value, describe_node

ACTIVATIONS = frozenset(
    {"Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Relu", "Sigmoid", "Tanh"}
)
CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1}  # of the output channels in a weight
LEAST_COVERAGE = 0.95  # of the multiply-adds of all convolutions
Q, DQ = "QuantizeLinear", "DequantizeLinear"


def listed_names(view: GraphView, key: str) -> list[str] | None:
    """A list of names from the metadata; None if it is not there or is no such list."""
    try:
        found = json.loads(view.metadata.get(key, ""))
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


def convolutions(view: GraphView) -> list[NodeProto]:
    return [node for node in view.nodes if node.op_type in CHANNEL_AXIS]


def is_quantized(view: GraphView, node: NodeProto) -> bool:
    """Whether a convolution is meant to run on codes: its weight comes out of Q/DQ nodes."""
    return len(node.input) > 1 and view.kind(node.input[1]) == DQ


def check_qdq_parameters(view: GraphView) -> list[str]:
    """6: scales and zero points are what TensorRT takes: signed, symmetric, one scale for each
    tensor or channel.
    """
    found = []
    for node in (node for node in view.nodes if node.op_type in (Q, DQ)):
        name = describe_node(node)
        if len(node.input) != 3:
            found.append(f"{name} has {len(node.input)} inputs instead of 3")
            continue
        scale, zero = (view.constants.get(one) for one in node.input[1:])
        if scale is None or zero is None:
            found.append(f"{name} has a scale or zero point that is no constant")
            continue
        if zero.dtype != np.int8 or np.any(zero):
            found.append(f"{name} has a zero point that is not INT8 and 0")
        if zero.size != scale.size:
            found.append(f"{name} has {scale.size} scales but {zero.size} zero points")
        if scale.dtype != np.float32 or not np.all(np.isfinite(scale)) or not np.all(scale > 0):
            found.append(f"{name} has a scale that is not FP32, finite and above 0")
        found += _channels(view, node, scale.shape)
    return found


def _channels(view: GraphView, node: NodeProto, scales: tuple[int, ...]) -> list[str]:
    """What is wrong with the number of scales."""
    weight, name = _weight(view, node), describe_node(node)
    if weight not in view.constants:
        return (
            []
            if math.prod(scales) == 1
            else [f"{name} has {math.prod(scales)} scales for an activation"]
        )
    readers = [reader for one in node.output for reader in view.takers[one]]
    readers = [
        last
        for one in readers
        for last in (view.takers[one.output[0]] if one.op_type == DQ else [one])
    ]
    axes = {CHANNEL_AXIS[one.op_type] for one in readers if one.op_type in CHANNEL_AXIS}
    shape = view.constants[weight].shape
    for axis in axes:
        if len(scales) != 1 or attribute_value(node, "axis", 1) != axis or scales[0] != shape[axis]:
            return [
                f"{name} has {math.prod(scales)} scales for the {shape[axis]} channels of axis {axis} of {weight}"
            ]
    return []


def _weight(view: GraphView, node: NodeProto) -> str:
    """What a Q or DQ node stands behind, through a Q in front of it."""
    giver = view.givers.get(node.input[0])
    behind = node.op_type == DQ and giver is not None and giver.op_type == Q
    return str(giver.input[0] if behind and giver is not None else node.input[0])


def check_qdq_pairs(view: GraphView) -> list[str]:
    """7: each Q is read by DQ nodes of the same scale, and no DQ gives an output or a bias."""
    found = []
    for node in view.nodes:
        name = describe_node(node)
        if node.op_type == Q:
            readers = view.takers[node.output[0]]
            if not readers or node.output[0] in view.outputs:
                found.append(f"{name} gives codes that no DequantizeLinear takes")
            found += [
                f"{name} feeds {describe_node(one)} with codes"
                for one in readers
                if one.op_type != DQ
            ]
            if view.kind(node.input[0]) in (Q, DQ):
                found.append(
                    f"{name} makes codes of what {describe_node(view.givers[node.input[0]])} has just given"
                )
        elif node.op_type == DQ:
            giver = view.givers.get(node.input[0])
            if giver is not None and giver.op_type == Q and not _same(view, giver, node):
                found.append(f"{name} has another scale or zero point than {describe_node(giver)}")
            if node.output[0] in view.outputs:
                found.append(f"{name} gives the output {node.output[0]}")
            biased = [
                one
                for one in convolutions(view)
                if len(one.input) > 2 and one.input[2] == node.output[0]
            ]
            found += [f"{name} gives the bias of {describe_node(one)}" for one in biased]
    return found


def _same(view: GraphView, one: NodeProto, other: NodeProto) -> bool:
    values = [[view.constants.get(name) for name in node.input[1:]] for node in (one, other)]
    pairs = list(zip(*values))
    return len(values[0]) == len(values[1]) and all(
        a is not None and b is not None and np.array_equal(a, b) for a, b in pairs
    )


def check_convolutions(view: GraphView) -> list[str]:
    """8: a convolution with INT8 weights has INT8 data, FP32 weights in front of Q and DQ, and an
    FP32 bias.
    """
    found = []
    for node in (node for node in convolutions(view) if is_quantized(view, node)):
        name = describe_node(node)
        if view.kind(node.input[0]) != DQ:
            found.append(
                f"{name} has INT8 weights, but its data does not come out of a DequantizeLinear"
            )
        back = view.givers[node.input[1]]
        there = view.givers.get(back.input[0])
        weight = (
            view.constants.get(there.input[0]) if there is not None and there.op_type == Q else None
        )
        if there is None or weight is None or weight.dtype != np.float32:
            found.append(f"{name} has weights that are not FP32 with a Q and a DQ behind them")
        else:
            found += [
                f"{name} {fault}" for fault in _overflow(view, there, CHANNEL_AXIS[node.op_type])
            ]
        bias = node.input[2] if len(node.input) > 2 else ""
        if bias and (bias not in view.constants or view.constants[bias].dtype != np.float32):
            found.append(f"{name} has a bias that is no FP32 constant")
    return found


def _overflow(view: GraphView, quantize: NodeProto, axis: int) -> list[str]:
    weight, scale = view.constants[quantize.input[0]], view.constants.get(quantize.input[1])
    if scale is None or scale.size not in (1, weight.shape[axis]):
        return []  # point 6 tells of it
    sides = [1] * weight.ndim
    sides[axis] = scale.size
    with np.errstate(divide="ignore", invalid="ignore"):
        most = float(np.max(np.abs(np.rint(weight / scale.reshape(sides)))))
    return (
        []
        if most <= WEIGHT_STEPS
        else [f"has weights of {most:.0f} steps, more than {WEIGHT_STEPS}"]
    )


def check_fusions(view: GraphView) -> list[str]:
    """9: no Q/DQ in front of activations, one quantized input at each residual Add, all or none at
    each Concat.
    """
    found = []
    islands = set(listed_names(view, FLOAT_TENSORS_KEY) or [])
    for node in view.nodes:
        if node.op_type in ACTIVATIONS:
            inner = _alone(view, node.input[0])
            if inner is not None:
                found.append(
                    f"Q/DQ nodes stand between {describe_node(inner)} and its activation {describe_node(node)}"
                )
        elif node.op_type == "Add" and len(view.data(node)) == 2:
            found += _residual(view, node, islands)
        elif node.op_type == "Concat":
            found += _concat(view, node, islands)
    return found


def _alone(view: GraphView, name: str) -> NodeProto | None:
    """The INT8 convolution behind whose output there is nothing but this Q/DQ pair."""
    back = view.givers.get(name)
    there = view.givers.get(back.input[0]) if back is not None and back.op_type == DQ else None
    inner = view.givers.get(there.input[0]) if there is not None and there.op_type == Q else None
    if back is None or there is None or inner is None or inner.op_type not in CHANNEL_AXIS:
        return None
    sole = all(len(view.takers[one.output[0]]) == 1 for one in (inner, there, back))
    return inner if sole and is_quantized(view, inner) else None


def _residual(view: GraphView, node: NodeProto, islands: set[str]) -> list[str]:
    bare = [name for name in view.data(node) if view.kind(name) != DQ]
    joined = [
        view.givers[name]
        for name in bare
        if view.kind(name) in CHANNEL_AXIS
        and is_quantized(view, view.givers[name])
        and len(view.takers[name]) == 1
    ]
    cut = [inner for name in view.data(node) if (inner := _alone(view, name)) is not None]
    if joined and len(bare) == 2:
        others = [name for name in bare if name not in joined[0].output]
        if not islands.intersection(others):
            return [
                f"{describe_node(node)} adds {others[0]} without Q/DQ to what {describe_node(joined[0])} gives"
            ]
    elif cut and not joined:
        return [
            f"Q/DQ nodes stand between {describe_node(cut[0])} and {describe_node(node)}, so they are no single kernel"
        ]
    return []


def _concat(view: GraphView, node: NodeProto, islands: set[str]) -> list[str]:
    names, behind = view.data(node), view.takers[node.output[0]]
    pairs = [view.givers[name] for name in names if view.kind(name) == DQ]
    if not pairs:
        return []
    if len(pairs) < len(names):
        bare = next(name for name in names if view.kind(name) != DQ)
        return [f"{describe_node(node)} joins codes with {bare}, which has none"]
    ends = [*pairs, *(one for one in behind if one.op_type == Q)]
    scales = [view.constants.get(one.input[1]) for one in ends]
    if any(
        one is None or scales[0] is None or not np.array_equal(one, scales[0]) for one in scales
    ):
        return [f"{describe_node(node)} joins codes of different scales, or gives others"]
    if len(ends) == len(pairs) and node.output[0] not in islands:
        return [f"{describe_node(node)} joins codes, but what it gives has none"]
    return []


def check_coverage(view: GraphView, source: GraphView) -> list[str]:
    """10: the float convolutions are those that the metadata name; where it names none, they are a
    small share.

    Args:
        source: model.onnx.
    """
    found = []
    work = {node.name: _work(view, node) for node in convolutions(view)}
    floats = [node.name for node in convolutions(view) if not is_quantized(view, node)]
    lost = [describe_node(node) for node in convolutions(source) if node.name not in work]
    found += [f"{name} of model.onnx is missing" for name in lost]
    known = listed_names(view, FLOAT_CONVOLUTIONS_KEY)
    if known is not None:
        silent, wrong = sorted(set(floats) - set(known)), sorted(set(known) - set(floats))
        found += [
            f"the convolution {name} is float, and the metadata do not say so" for name in silent
        ]
        return found + [
            f"the metadata call {name} a float convolution, but it is none" for name in wrong
        ]
    share = coverage(view)
    if share < LEAST_COVERAGE:
        found.append(
            f"{100 * share:.1f} % of the multiply-adds are in INT8, less than {100 * LEAST_COVERAGE:.0f} %"
        )
    return found


def coverage(view: GraphView) -> float:
    """The share of the convolutions' multiply-adds that is meant to run in INT8."""
    work = [(_work(view, node), is_quantized(view, node)) for node in convolutions(view)]
    return sum(number for number, integer in work if integer) / max(
        1, sum(number for number, _ in work)
    )


def _work(view: GraphView, node: NodeProto) -> int:
    """Multiply-adds of one convolution."""
    weight = view.shape(node.input[1]) or np.shape(view.constants.get(node.input[1], ()))
    if len(weight) != 4:
        return 0
    places = view.shape(node.output[0] if node.op_type == "Conv" else node.input[0])
    return math.prod(places[:1] + places[2:]) * math.prod(weight)
