"""Q/DQ placement for CPUs: on every tensor between layers, so that ONNX Runtime computes in
integers.

Its x86 kernels are fast for unsigned activations with signed weights, and fuse a convolution only
where integers go in and come out. So activations are uint8, with zero point 0 where nothing is
negative and else 128. Weights are stored as INT8 and biases as INT32, which every version of ONNX
Runtime fuses.

What only moves or picks values runs on integers if those that go in and come out mean the same, so
both get one range. So do all ends of a Concat where they can, which makes it five times as fast
(equalized channels lose nothing by it). A Resize must not: behind INT8 convolutions ONNX Runtime
takes longer for it on integers than on floats, conversions included, and where it blends it cuts
off instead of rounding, half a step too small in the mean.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from onnx import ModelProto, NodeProto, helper

from edgeseg.calibration.histogram import INT8_STEPS, UINT8_STEPS
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.onnx_helpers import assemble, copy_node
from edgeseg.export.graph.qdq_nodes import (
    MIN_RANGE,
    GraphBuilder,
    QuantizationPlan,
    QuantizedConv,
    Ranges,
)

# what ONNX Runtime runs on integers, and what must not interrupt them
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
)
# these run on integers only if all of their inputs are integers
JOINING_OPS = frozenset({"Add", "Concat", "Mul"})
# what comes out of these went in
COPYING_OPS = frozenset({"MaxPool", "Reshape", "Slice", "Split", "Transpose"})
# these are not worth quantizing floats for
PASSIVE_OPS = COPYING_OPS | {"Clip", "Concat", "Relu"}
RANGE_SEPARATION = 1 + 2.0**-16  # the least by which ranges are told apart, also as FP32 scales
SIGNED_ZERO_POINT = 128  # of tensors with negative values


def scale_and_zero_point(limits: tuple[float, float]) -> tuple[float, np.uint8]:
    """Return scale and zero point of a tensor with a range of (0 or -high, high)."""
    low, high = limits
    high = max(high, MIN_RANGE)
    if low < 0:
        return high / INT8_STEPS, np.uint8(SIGNED_ZERO_POINT)
    return high / UINT8_STEPS, np.uint8(0)


def place_qdq_cpu(plan: QuantizationPlan) -> ModelProto:
    """Return the network with Q/DQ nodes on its tensors.

    Args:
        plan: Its network is float, but for the pixels that
            `edgeseg.export.onnxruntime_cpu.normalization_folding` lets in. With each tensor that
            stays float, the nodes that make and read it stay float. (A single float convolution
            between integers would not do: ONNX Runtime gives it INT8 weights at load, one scale for
            all of its channels.)
    """
    network = plan.network
    topology = network.topology
    floats = _float_nodes(plan)
    ranges = _shared_ranges(network, plan.ranges)
    # tensors whose activation takes part in integers, where it need not be computed
    vanishing = {
        source: output
        for source, output in network.absorbed.items()
        if topology.producers[output].name not in floats
    }
    builder = GraphBuilder(network.constants)

    def needs_qdq(name: str) -> bool:
        producer = topology.producers.get(name)
        if producer is not None and producer.op_type == "DequantizeLinear":
            return False  # it came as integers
        neighbors = [*topology.consumers[name], *([producer] if producer is not None else [])]
        return (
            name in ranges
            and name not in plan.float_tensors
            and any(node.name not in floats for node in neighbors)
        )

    quantized_input = {}
    entry = network.input_name
    if needs_qdq(entry):
        quantized_input[entry] = f"{entry}.coded"
        builder.insert_qdq(
            entry, entry, quantized_input[entry], *scale_and_zero_point(ranges[entry])
        )
    for node in topology.nodes:
        if node.input[0] in vanishing:
            continue
        copy = copy_node(node)
        copy.input[:] = [quantized_input.get(name, name) for name in node.input]
        if node.name in plan.layers and node.name not in floats:
            input_step, _ = scale_and_zero_point(ranges[node.input[0]])
            _insert_integer_weights(builder, copy, plan.layers[node.name], input_step)
        builder.nodes.append(copy)
        for place, name in enumerate(node.output):
            output = vanishing.get(name, name)
            copy.output[place] = output
            if needs_qdq(output):
                copy.output[place] = f"{output}.raw"
                builder.insert_qdq(
                    f"{output}.raw", output, output, *scale_and_zero_point(ranges[output])
                )
    return assemble(network.model, builder.nodes, builder.constants)


def _float_nodes(plan: QuantizationPlan) -> set[str]:
    """Return the names of the nodes that compute in float."""
    topology, absorbed = plan.network.topology, plan.network.absorbed
    floats: set[str] = set()
    for node in topology.nodes:
        inputs = topology.data_inputs(node)
        ends = [absorbed.get(name, name) for name in (*inputs, *node.output)]
        has_all_inputs = node.op_type not in JOINING_OPS or len(inputs) == len(node.input)
        has_weights = node.op_type != "Conv" or node.name in plan.layers
        can_be_quantized = node.op_type in QUANTIZED_OPS and has_all_inputs and has_weights
        is_between_floats = node.op_type in PASSIVE_OPS and all(
            name in topology.producers and topology.producers[name].name in floats
            for name in inputs
        )
        if not can_be_quantized or is_between_floats or not plan.is_quantized(*ends):
            floats.add(node.name)
    for source, output in absorbed.items():  # a layer and its activation go together
        pair = {topology.producers[source].name, topology.producers[output].name}
        if pair & floats:
            floats |= pair
    return floats


def _shared_ranges(network: AnalyzedNetwork, ranges: Ranges) -> Ranges:
    """Return `ranges` with one for all that a node moves, picks or joins.

    A MaxPool from (-3, 3) to (-2, 2) gets (-3, 3) on both sides. A Concat of (0, 6), (0, 6) and
    (0, 4) gets (0, 6) everywhere, unless that widens a tensor beyond the bound of its activation:
    integers that take over a ReLU6 end at 6, or nothing would be cut off. With (0, 6) behind a
    ReLU6 and (0, 9) behind another layer, the Concat joins nothing.

    On both sides of a Resize ranges must differ, so that it runs in float: of (0, 6) and (0, 6) the
    second becomes (0, 6.0001).
    """
    topology, absorbed = network.topology, network.absorbed
    upper_bounds = {
        output: _upper_bound(network, topology.producers[output]) for output in absorbed.values()
    }
    ends = {
        node.name: [
            absorbed.get(name, name) for name in (*topology.data_inputs(node), *node.output)
        ]
        for node in topology.nodes
        if node.op_type in COPYING_OPS | {"Concat", "Resize"}
    }
    nodes = [
        node
        for node in topology.nodes
        if node.name in ends and all(name in ranges for name in ends[node.name])
    ]
    groups = {name: {name} for name in ranges}  # of tensors with one range
    copying_first = sorted(nodes, key=lambda node: node.op_type == "Concat")
    for node in copying_first:  # these have no choice
        joined = set().union(*(groups[name] for name in ends[node.name]))
        low, high = _common_range(joined, ranges)
        bounds_hold = all(
            low == 0 and high <= RANGE_SEPARATION * upper_bounds[name]
            for name in joined & upper_bounds.keys()
        )
        if node.op_type in COPYING_OPS or (node.op_type == "Concat" and bounds_hold):
            groups |= dict.fromkeys(joined, joined)
    shared = {name: _common_range(group, ranges) for name, group in groups.items()}
    for node in nodes:
        source, output = ends[node.name][0], ends[node.name][-1]
        if node.op_type == "Resize" and shared[output] == shared[source]:
            low, high = shared[source]
            wider = max(high, MIN_RANGE) * RANGE_SEPARATION
            shared[output] = (-wider if low < 0 else 0.0, wider)
    return shared


def _common_range(names: Collection[str], ranges: Ranges) -> tuple[float, float]:
    """Return one range that holds those of all."""
    high = max(ranges[name][1] for name in names)
    return (-high if any(ranges[name][0] < 0 for name in names) else 0.0, high)


def _upper_bound(network: AnalyzedNetwork, activation: NodeProto) -> float:
    """Return the largest value that a Clip or Relu lets through."""
    has_bound = activation.op_type == "Clip" and len(activation.input) > 2
    bound = network.constants.get(activation.input[2]) if has_bound else None
    return float(bound.reshape(-1)[0]) if bound is not None else float("inf")


def _insert_integer_weights(
    builder: GraphBuilder, node: NodeProto, layer: QuantizedConv, input_step: float
) -> None:
    """Give a convolution INT8 weights and an INT32 bias, each behind a DequantizeLinear.

    The bias is added to the sums of products, so its step is that of the weight times that of the
    input.
    """
    bias_steps = np.asarray(layer.scales * np.float32(input_step), np.float32)
    bias = np.rint(layer.bias / bias_steps).clip(-(2**31), 2**31 - 1).astype(np.int32)
    for role, integers, scale in (
        ("weight", layer.weight_int8, layer.scales),
        ("bias", bias, bias_steps),
    ):
        name = f"{node.name}.int.{role}"
        values = {
            f"{name}.codes": integers,
            f"{name}.scale": scale,
            f"{name}.zero": np.zeros(len(scale), integers.dtype),
        }
        builder.constants |= values
        builder.nodes.append(
            helper.make_node("DequantizeLinear", list(values), [name], f"{name}.dq", axis=0)
        )
    node.input[:] = [node.input[0], f"{node.name}.int.weight", f"{node.name}.int.bias"]
