"""Where the TensorRT flavour has codes: in front of what wants INT8 inputs, and nowhere else.

TensorRT takes Q/DQ nodes literally. A Q behind a convolution and its activation is pulled into that
kernel, but one between them breaks it, and an addition joins the convolution in front of it only if
that input stays bare. Codes are signed with zero point 0, weights are FP32 followed by Q and DQ,
biases FP32: what the parsers of 8.5 to 11 all read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper

from edgeseg.calibration.observers import INT8_STEPS
from edgeseg.export.graph.lowering import Shapes, assemble, static_shapes
from edgeseg.export.graph.qdq_nodes import (
    MIN_RANGE,
    GraphBuilder,
    GraphTopology,
    QuantizedConv,
    Ranges,
)

MIN_CHANNELS, CHANNEL_MULTIPLE = (
    16,
    8,
)  # of channels, below or beside which TensorRT has no fast INT8 kernel
Pair = tuple[str, str]


def place_qdq_tensorrt(
    network: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv],
    islands: Collection[str] = (),
) -> ModelProto:
    """`network` with codes where TensorRT wants them.

    Args:
        network: float.
        ranges: of each tensor that may get codes, as signed codes need them.
        layers: its convolutions in integers, by node.
        islands: tensors that stay float.
    """
    wiring = GraphTopology(network)
    reads = _quantized_reads(wiring, static_shapes(network), set(ranges) - set(islands), layers)
    scales = _tensor_scales(wiring, reads, ranges)
    sheet = GraphBuilder(wiring.constants)

    def give(name: str) -> None:
        if name in scales:
            sheet.insert_qdq(name, name, f"{name}.coded", scales[name], np.int8(0))

    for entry in network.graph.input:
        give(entry.name)
    for node in wiring.nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [
            f"{name}.coded" if (node.name, name) in reads else name for name in node.input
        ]
        if node.name in layers and (node.name, node.input[0]) in reads:
            _insert_quantized_weights(sheet, copy, layers[node.name])
        sheet.nodes.append(copy)
        for name in node.output:
            give(name)
    return assemble(network, sheet.nodes, sheet.constants)


def _quantized_reads(
    wiring: GraphTopology,
    shapes: Shapes,
    allowed: Collection[str],
    layers: Mapping[str, QuantizedConv],
) -> set[Pair]:
    """(node, tensor) wherever a node reads a tensor as codes gave it back."""
    first = next((node.name for node in wiring.nodes if node.name in layers), "")
    integer = {
        node.name
        for node in wiring.nodes
        if node.name in layers
        and node.input[0] in allowed
        and shapes[node.output[0]][2:]
        != (1, 1)  # what pooling made one pixel of is small, and needs the precision
        and _has_int8_kernel(layers[node.name].weight_int8.shape, node.name == first)
    }
    reads = {(node.name, node.input[0]) for node in wiring.nodes if node.name in integer}
    bare: set[Pair] = set()
    for node in wiring.nodes:
        if node.op_type == "Add":
            ends = [
                name for name in wiring.data_inputs(node) if wiring.is_sole_output(name, integer)
            ]
            if ends and len(wiring.data_inputs(node)) == 2:
                stays = max(ends, key=lambda name: wiring.branch_depth(name, node))
                bare.add((node.name, stays))
                reads |= {
                    (node.name, name) for name in node.input if name != stays and name in allowed
                }
        elif node.op_type == "Resize" and node.input[0] in allowed:
            kernels = integer | {
                name for name, _ in bare
            }  # an addition is part of the kernel of its bare input
            if wiring.follows(node.input[0], kernels):
                reads.add((node.name, node.input[0]))
    # who reads a tensor that has codes for another reads the codes, too, and a Concat all or none
    while True:
        coded = {name for _, name in reads}
        more = set()
        for node in wiring.nodes:
            names = [name for name in wiring.data_inputs(node) if (node.name, name) not in bare]
            if (
                _is_shared_max_pool(node, wiring)
                and node.output[0] in coded
                and names[0] in allowed
            ):
                more.add((node.name, names[0]))
            whole = node.op_type == "Concat" and all(name in allowed for name in names)
            if node.op_type == "Concat" and not whole:
                continue
            wanted = (
                names if whole and coded & set(names) else [name for name in names if name in coded]
            )
            more |= {(node.name, name) for name in wanted}
        if more <= reads:
            return reads
        reads |= more


def _is_shared_max_pool(node: NodeProto, wiring: GraphTopology) -> bool:
    """Whether the node is a MaxPool that shares what it reads with others, as behind a ResNet's
    first convolution.

    A Q behind a MaxPool moves in front of it, and on into the convolution, unless somebody reads
    the float values.
    """
    return node.op_type == "MaxPool" and len(wiring.consumers[node.input[0]]) > 1


def _has_int8_kernel(shape: tuple[int, ...], first: bool) -> bool:
    """Whether TensorRT has a fast INT8 kernel for a weight (O, I / groups, kh, kw); the rules are
    ModelOpt's.
    """
    outputs, inputs, height, width = shape
    if min(outputs, inputs) >= MIN_CHANNELS:
        return True
    if inputs == 1:
        return outputs % CHANNEL_MULTIPLE == 0 and min(height, width) >= 3
    whole = outputs % CHANNEL_MULTIPLE == 0 or inputs % CHANNEL_MULTIPLE == 0
    return whole and height == width and (first or max(outputs, inputs) >= MIN_CHANNELS)


def _tensor_scales(wiring: GraphTopology, reads: set[Pair], ranges: Ranges) -> dict[str, float]:
    """The scale of each tensor with codes; what a Concat or MaxPool of codes reads shares one with
    its result.
    """
    most = {name: max(ranges[name][1], MIN_RANGE) for _, name in reads}
    sharing = ("Concat", "MaxPool")
    joined = [
        node
        for node in wiring.nodes
        if node.op_type in sharing and (node.name, node.input[0]) in reads
    ]
    for _ in joined:  # each pass may reach one node further
        for node in joined:
            names = [name for name in (*node.input, node.output[0]) if name in most]
            most |= dict.fromkeys(names, max(most[name] for name in names))
    return {name: value / INT8_STEPS for name, value in most.items()}


def _insert_quantized_weights(sheet: GraphBuilder, node: NodeProto, layer: QuantizedConv) -> None:
    """Give a convolution FP32 weights that lie on codes, a Q and a DQ behind them, and an FP32
    bias.
    """
    name = f"{node.name}.int.weight"
    parameters = [f"{name}.scale", f"{name}.zero"]
    sheet.constants |= {
        name: layer.dequantized_weight,
        parameters[0]: layer.scales,
        parameters[1]: np.zeros(len(layer.scales), np.int8),
        f"{node.name}.int.bias": layer.bias,
    }
    sheet.nodes += [
        helper.make_node(
            "QuantizeLinear", [name, *parameters], [f"{name}.codes"], f"{name}.q", axis=0
        ),
        helper.make_node(
            "DequantizeLinear",
            [f"{name}.codes", *parameters],
            [f"{name}.given"],
            f"{name}.dq",
            axis=0,
        ),
    ]
    node.input[:] = [node.input[0], f"{name}.given", f"{node.name}.int.bias"]
