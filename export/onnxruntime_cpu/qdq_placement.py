"""Where the CPU flavour has codes: on every tensor between layers, so that ONNX Runtime computes in
integers.

Its x86 kernels are fast for unsigned activations with signed weights, and fuse a convolution only
where codes go in and come out. So codes are uint8, with zero point 0 where nothing is negative and
else 128. Weights are stored as INT8 and biases as INT32, which every version of ONNX Runtime fuses.

What only moves or picks values runs on codes if those that go in and come out mean the same, so
both get one range. So do all ends of a Concat where they can, which makes it five times as fast
(equalized channels lose nothing by it). A Resize must not: behind INT8 convolutions ONNX Runtime
takes longer for it on codes than on floats, conversions included, and where it blends it cuts off
instead of rounding, half a code too small in the mean.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper

from edgeseg.calibration.observers import INT8_STEPS, UINT8_STEPS
from edgeseg.export.graph.lowering import assemble
from edgeseg.export.graph.qdq_nodes import (
    MIN_RANGE,
    GraphBuilder,
    GraphTopology,
    QuantizedConv,
    Ranges,
)

QUANTIZED_OPS = frozenset(
    {
        "Add",
        "AveragePool",
        "Clip",
        "Concat",
        "Conv",
        "GlobalAveragePool",
        "LeakyRelu",
        "MaxPool",
        "Mul",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Slice",
        "Split",
        "Transpose",
    }
)  # what ONNX Runtime runs on codes, and what must not interrupt them
JOINING_OPS = frozenset(
    {"Add", "Concat", "Mul"}
)  # these run on codes only if all of their inputs are codes
COPYING_OPS = frozenset(
    {"MaxPool", "Reshape", "Slice", "Split", "Transpose"}
)  # what comes out went in
PASSIVE_OPS = COPYING_OPS | {"Clip", "Concat", "Relu"}  # not worth turning floats into codes for
RANGE_SEPARATION = 1 + 2.0**-16  # the least by which ranges are told apart, also as FP32 scales
SIGNED_ZERO_POINT = 128  # zero point of tensors with negative values


def scale_and_zero_point(limits: tuple[float, float]) -> tuple[float, np.uint8]:
    """Scale and zero point of a tensor with a range of (0 or -high, high)."""
    low, high = limits
    high = max(high, MIN_RANGE)
    return (
        (high / INT8_STEPS, np.uint8(SIGNED_ZERO_POINT))
        if low < 0
        else (high / UINT8_STEPS, np.uint8(0))
    )


def place_qdq_cpu(
    network: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv],
    islands: Collection[str] = (),
) -> ModelProto:
    """`network` with codes on its tensors.

    Args:
        network: float, but for codes that `edgeseg.export.onnxruntime_cpu.normalization_folding`
            lets in.
        ranges: of each tensor that may get codes.
        layers: its convolutions in integers, by node.
        islands: tensors that stay float, and with them what gives and takes them. (A single float
            convolution between codes would not do: ONNX Runtime gives it INT8 weights at load, one
            scale for all of its channels.)
    """
    wiring = GraphTopology(network)
    absorbed = wiring.absorbed_tensors()
    floats = _float_nodes(wiring, ranges, layers, islands, absorbed)
    ranges = _shared_ranges(wiring, ranges, absorbed)
    vanishing = {
        before: after
        for before, after in absorbed.items()
        if wiring.producers[after].name not in floats
    }
    sheet = GraphBuilder(wiring.constants)

    def coded(name: str) -> bool:
        if name in wiring.producers and wiring.producers[name].op_type == "DequantizeLinear":
            return False  # it came as codes
        ends = [*wiring.consumers[name], *(node for node in wiring.nodes if name in node.output)]
        return (
            name in ranges and name not in islands and any(node.name not in floats for node in ends)
        )

    read = {}
    for entry in network.graph.input:
        if coded(entry.name):
            read[entry.name] = f"{entry.name}.coded"
            sheet.insert_qdq(
                entry.name, entry.name, read[entry.name], *scale_and_zero_point(ranges[entry.name])
            )
    for node in wiring.nodes:
        if node.input[0] in vanishing:
            continue
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [read.get(name, name) for name in node.input]
        if node.name in layers and node.name not in floats:
            _insert_integer_weights(
                sheet, copy, layers[node.name], scale_and_zero_point(ranges[node.input[0]])[0]
            )
        sheet.nodes.append(copy)
        for number, name in enumerate(node.output):
            given = vanishing.get(name, name)
            copy.output[number] = given
            if coded(given):
                copy.output[number] = f"{given}.raw"
                sheet.insert_qdq(f"{given}.raw", given, given, *scale_and_zero_point(ranges[given]))
    return assemble(network, sheet.nodes, sheet.constants)


def _float_nodes(
    wiring: GraphTopology,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv],
    islands: Collection[str],
    absorbed: Mapping[str, str],
) -> set[str]:
    """Names of the nodes that compute in float."""
    floats = set()
    for node in wiring.nodes:
        ends = [absorbed.get(name, name) for name in (*wiring.data_inputs(node), *node.output)]
        whole = node.op_type not in JOINING_OPS or len(wiring.data_inputs(node)) == len(node.input)
        fits = (
            node.op_type in QUANTIZED_OPS
            and whole
            and (node.op_type != "Conv" or node.name in layers)
        )
        idle = node.op_type in PASSIVE_OPS and all(
            name in wiring.producers and wiring.producers[name].name in floats
            for name in wiring.data_inputs(node)
        )
        if not fits or idle or any(name in islands or name not in ranges for name in ends):
            floats.add(node.name)
    for before, after in absorbed.items():  # a layer and the activation that it absorbs go together
        pair = {wiring.producers[before].name, wiring.producers[after].name}
        if pair & floats:
            floats |= pair
    return floats


def _shared_ranges(wiring: GraphTopology, ranges: Ranges, absorbed: Mapping[str, str]) -> Ranges:
    """`ranges` with one for all that a node moves, picks or joins, and different ones around a
    Resize.

    Codes that take over an activation keep to its bounds: with others nothing would be cut off. A
    Concat that needs others, because something else in it is negative or larger, joins nothing.
    """
    bounds = {after: _upper_bound(wiring, wiring.producers[after]) for after in absorbed.values()}
    ends = {
        node.name: [absorbed.get(name, name) for name in (*wiring.data_inputs(node), *node.output)]
        for node in wiring.nodes
        if node.op_type in COPYING_OPS | {"Concat", "Resize"}
    }
    nodes = [
        node
        for node in wiring.nodes
        if node.name in ends and all(name in ranges for name in ends[node.name])
    ]
    groups = {name: {name} for name in ranges}
    for node in sorted(
        nodes, key=lambda node: node.op_type == "Concat"
    ):  # first those that have no choice
        whole = set().union(*(groups[name] for name in ends[node.name]))
        low, high = _common_range(whole, ranges)
        cut = all(
            low == 0 and high <= RANGE_SEPARATION * bounds[name] for name in whole & bounds.keys()
        )
        if node.op_type in COPYING_OPS or (node.op_type == "Concat" and cut):
            groups |= dict.fromkeys(whole, whole)
    found = {name: _common_range(group, ranges) for name, group in groups.items()}
    for node in (node for node in nodes if node.op_type == "Resize"):
        (low, high), given = found[ends[node.name][0]], ends[node.name][-1]
        if found[given] == (low, high):
            wider = max(high, MIN_RANGE) * RANGE_SEPARATION
            found[given] = (-wider if low < 0 else 0.0, wider)
    return found


def _common_range(names: Collection[str], ranges: Ranges) -> tuple[float, float]:
    """One range for all of them."""
    high = max(ranges[name][1] for name in names)
    return (-high if any(ranges[name][0] < 0 for name in names) else 0.0, high)


def _upper_bound(wiring: GraphTopology, activation: NodeProto) -> float:
    """The largest value that a Clip or Relu lets through."""
    named = (
        activation.input[2] if activation.op_type == "Clip" and len(activation.input) > 2 else ""
    )
    return (
        float(wiring.constants[named].reshape(-1)[0]) if named in wiring.constants else float("inf")
    )


def _insert_integer_weights(
    sheet: GraphBuilder, node: NodeProto, layer: QuantizedConv, step: float
) -> None:
    """Give a convolution INT8 weights and an INT32 bias."""
    sums = np.asarray(layer.scales * np.float32(step), np.float32)
    bias = np.rint(layer.bias / sums).clip(-(2**31), 2**31 - 1).astype(np.int32)
    for role, codes, scale in (("weight", layer.weight_int8, layer.scales), ("bias", bias, sums)):
        name = f"{node.name}.int.{role}"
        values = {
            f"{name}.codes": codes,
            f"{name}.scale": scale,
            f"{name}.zero": np.zeros(len(scale), codes.dtype),
        }
        sheet.constants |= values
        sheet.nodes.append(
            helper.make_node("DequantizeLinear", list(values), [name], f"{name}.dq", axis=0)
        )
    node.input[:] = [node.input[0], f"{node.name}.int.weight", f"{node.name}.int.bias"]
