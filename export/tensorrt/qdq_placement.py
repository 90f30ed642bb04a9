"""Q/DQ placement for TensorRT: in front of what wants INT8 inputs, and nowhere else.

TensorRT takes Q/DQ nodes literally. A Q behind a convolution and its activation is pulled into that
kernel, but one between them breaks it, and an addition joins the convolution in front of it only if
that input stays bare. Integers are signed with zero point 0, weights are FP32 followed by Q and DQ,
biases FP32: what the parsers of 8.5 to 11 all read.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, helper

from edgeseg.calibration.histogram import INT8_STEPS
from edgeseg.export.graph.onnx_helpers import assemble, copy_node
from edgeseg.export.graph.qdq_nodes import (
    MIN_RANGE,
    GraphBuilder,
    QuantizationPlan,
    QuantizedConv,
    Ranges,
)
from edgeseg.export.graph.topology import GraphTopology

# below as many channels, or beside multiples of so many, TensorRT has no fast INT8 kernel
MIN_CHANNELS, CHANNEL_MULTIPLE = 16, 8
SHARING_OPS = ("Concat", "MaxPool")  # one scale for what goes in and what comes out
Read = tuple[str, str]  # (node, tensor that it reads)


def place_qdq_tensorrt(plan: QuantizationPlan) -> ModelProto:
    """Return the network with Q/DQ nodes where TensorRT wants them.

    Args:
        plan: Its network is float, its ranges are those of signed integers.
    """
    topology = plan.network.topology
    reads = _quantized_reads(plan)
    scales = _tensor_scales(topology, reads, plan.ranges)
    builder = GraphBuilder(plan.network.constants)

    def insert_qdq(name: str) -> None:
        if name in scales:
            builder.insert_qdq(name, name, f"{name}.coded", scales[name], np.int8(0))

    insert_qdq(plan.network.input_name)
    for node in topology.nodes:
        copy = copy_node(node)
        copy.input[:] = [
            f"{name}.coded" if (node.name, name) in reads else name for name in node.input
        ]
        if node.name in plan.layers and (node.name, node.input[0]) in reads:
            _insert_quantized_weights(builder, copy, plan.layers[node.name])
        builder.nodes.append(copy)
        for name in node.output:
            insert_qdq(name)
    return assemble(plan.network.model, builder.nodes, builder.constants)


def _quantized_reads(plan: QuantizationPlan) -> set[Read]:
    """Return (node, tensor) wherever a node reads a tensor behind its Q/DQ nodes."""
    topology = plan.network.topology
    integer = _integer_convs(plan)
    reads = {(node.name, node.input[0]) for node in topology.nodes if node.name in integer}
    bare = _bare_additions(topology, integer)  # the inputs that kernels add in float
    for node in topology.nodes:
        if node.op_type == "Add":
            bare_inputs = {name for name in node.input if (node.name, name) in bare}
            if bare_inputs:
                others = (name for name in node.input if name not in bare_inputs)
                reads |= {(node.name, name) for name in others if plan.is_quantized(name)}
        elif node.op_type == "Resize" and plan.is_quantized(node.input[0]):
            # an addition is part of the kernel of its bare input
            kernels = integer | {name for name, _ in bare}
            if topology.follows(node.input[0], kernels):
                reads.add((node.name, node.input[0]))
    concats = _integer_concats(plan)
    while True:
        further = _implied_reads(plan, reads, bare, concats)
        if further <= reads:
            return reads
        reads |= further


def _integer_convs(plan: QuantizationPlan) -> set[str]:
    """Return the names of the convolutions that TensorRT shall compute in INT8."""
    convs = [node for node in plan.network.topology.nodes if node.name in plan.layers]
    return {
        node.name
        for place, node in enumerate(convs)
        if plan.is_quantized(node.input[0])
        # what pooling made one pixel of is small, and needs the precision
        and plan.network.shapes[node.output[0]][2:] != (1, 1)
        and _has_int8_kernel(plan.layers[node.name].weight_int8.shape, is_first=place == 0)
    }


def _bare_additions(topology: GraphTopology, integer: set[str]) -> set[Read]:
    """Return (addition, input) for the inputs that stay without Q/DQ.

    TensorRT joins an addition with the INT8 convolution in front of it. Where both inputs come from
    one, the addition joins the longer branch: in a residual block with a convolution on the skip
    connection, that of the block.
    """
    bare: set[Read] = set()
    for node in topology.nodes:
        if node.op_type != "Add":
            continue
        inputs = topology.data_inputs(node)
        from_convs = [name for name in inputs if topology.is_sole_output(name, integer)]
        if from_convs and len(inputs) == 2:
            longest = max(from_convs, key=lambda name: topology.branch_depth(name, node))
            bare.add((node.name, longest))
    return bare


def _integer_concats(plan: QuantizationPlan) -> set[str]:
    """Return the names of the Concats that may join integers.

    Their inputs can be quantized, and what they give is read as integers in turn, or is among the
    tensors that were chosen to stay float.
    """
    topology = plan.network.topology
    integer: set[str] = set()
    for node in reversed(topology.nodes):  # those that read a Concat come before it
        if node.op_type != "Concat" or not plan.is_quantized(*topology.data_inputs(node)):
            continue
        result = node.output[0]
        readers = topology.consumers[result]
        is_read = any(reader.op_type != "Concat" or reader.name in integer for reader in readers)
        if result in plan.float_tensors or (is_read and plan.is_quantized(result)):
            integer.add(node.name)
    return integer


def _implied_reads(
    plan: QuantizationPlan, reads: set[Read], bare: set[Read], concats: set[str]
) -> set[Read]:
    """Return the reads that follow from others: who reads a quantized tensor reads its integers.

    A Concat reads all of its inputs so, or none. Where it does, its result is quantized too, even
    if only a further Concat reads it, as in UNet++.

    Args:
        concats: The Concats that may read integers.
    """
    topology = plan.network.topology
    quantized = {name for _, name in reads}
    quantized |= {
        node.output[0]
        for node in topology.nodes
        if node.name in concats
        and (node.name, node.input[0]) in reads
        and plan.is_quantized(node.output[0])
    }
    implied = set()
    for node in topology.nodes:
        inputs = [name for name in topology.data_inputs(node) if (node.name, name) not in bare]
        if (
            _is_shared_max_pool(node, topology)
            and node.output[0] in quantized
            and plan.is_quantized(inputs[0])
        ):
            implied.add((node.name, inputs[0]))
        read = [name for name in inputs if name in quantized]
        if node.op_type == "Concat":
            read = inputs if read and node.name in concats else []
        implied |= {(node.name, name) for name in read}
    return implied


def _is_shared_max_pool(node: NodeProto, topology: GraphTopology) -> bool:
    """Return True for a MaxPool that shares its input, as behind a ResNet's first convolution.

    A Q behind a MaxPool moves in front of it, and on into the convolution, unless another node
    reads the float values.
    """
    return node.op_type == "MaxPool" and len(topology.consumers[node.input[0]]) > 1


def _has_int8_kernel(shape: tuple[int, ...], *, is_first: bool) -> bool:
    """Return True if TensorRT has a fast INT8 kernel; the rules are ModelOpt's.

    Args:
        shape: (O, I / groups, kh, kw) of the weight.
        is_first: The convolution is the network's first one.
    """
    outputs, inputs, height, width = shape
    if min(outputs, inputs) >= MIN_CHANNELS:
        return True
    if inputs == 1:
        return outputs % CHANNEL_MULTIPLE == 0 and min(height, width) >= 3
    is_multiple = outputs % CHANNEL_MULTIPLE == 0 or inputs % CHANNEL_MULTIPLE == 0
    is_large = is_first or max(outputs, inputs) >= MIN_CHANNELS
    return is_multiple and height == width and is_large


def _tensor_scales(topology: GraphTopology, reads: set[Read], ranges: Ranges) -> dict[str, float]:
    """Return the scale of each quantized tensor.

    What a Concat or MaxPool reads as integers shares one with its result.
    """
    magnitudes = {name: max(ranges[name][1], MIN_RANGE) for _, name in reads}
    sharing = [
        node
        for node in topology.nodes
        if node.op_type in SHARING_OPS and (node.name, node.input[0]) in reads
    ]
    for _ in sharing:  # each pass may reach one node further
        for node in sharing:
            names = [name for name in (*node.input, node.output[0]) if name in magnitudes]
            magnitudes |= dict.fromkeys(names, max(magnitudes[name] for name in names))
    return {name: magnitude / INT8_STEPS for name, magnitude in magnitudes.items()}


def _insert_quantized_weights(builder: GraphBuilder, node: NodeProto, layer: QuantizedConv) -> None:
    """Give a convolution FP32 weights that are whole steps, Q and DQ, and an FP32 bias."""
    name = f"{node.name}.int.weight"
    parameters = [f"{name}.scale", f"{name}.zero"]
    integers, given = f"{name}.codes", f"{name}.given"
    builder.constants |= {
        name: layer.dequantized_weight,
        parameters[0]: layer.scales,
        parameters[1]: np.zeros(len(layer.scales), np.int8),
        f"{node.name}.int.bias": layer.bias,
    }
    builder.nodes += [
        helper.make_node("QuantizeLinear", [name, *parameters], [integers], f"{name}.q", axis=0),
        helper.make_node(
            "DequantizeLinear", [integers, *parameters], [given], f"{name}.dq", axis=0
        ),
    ]
    node.input[:] = [node.input[0], given, f"{node.name}.int.bias"]
