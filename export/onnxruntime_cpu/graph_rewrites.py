"""Rewrites of the CPU flavour: what ONNX Runtime computes faster in INT8 when it is said otherwise.

Each function takes and returns what `place_qdq_cpu` takes; the integers that come out are the same.
Tensors that stay float, or have no range, are left alone. A plan in which nothing was rewritten is
returned as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from edgeseg.calibration.histogram import INT8_STEPS
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.onnx_helpers import Constants, Shapes, assemble, attributes_of, copy_node
from edgeseg.export.graph.qdq_nodes import QuantizationPlan, QuantizedConv
from edgeseg.export.onnxruntime_cpu.stem_widening import widen_stem

CHANNEL_BLOCK = 16  # outputs that ONNX Runtime's direct convolution computes at once
# how a Resize may look up the nearest pixel if whole factors shall repeat each
REPEATING_MODES = {
    (b"asymmetric", b"floor"),
    (b"half_pixel", b"round_prefer_floor"),
    (b"half_pixel", b"round_prefer_ceil"),
}


def rewrite_for_cpu(plan: QuantizationPlan) -> QuantizationPlan:
    """Apply all rewrites."""
    for rewrite in (pools_to_convs, resizes_to_concats, pad_output_channels, widen_stem):
        plan = rewrite(plan)
    return plan


def pools_to_convs(plan: QuantizationPlan) -> QuantizationPlan:
    """Turn average pools into depthwise convolutions of equal weights, ten times as fast.

    A pool that divides by fewer than all its pixels at the border stays as it is.
    """
    network, layers = plan.network, dict(plan.layers)
    constants, nodes = dict(network.constants), []
    for node in network.topology.nodes:
        if node.op_type == "AveragePool" and plan.is_quantized(node.input[0], node.output[0]):
            converted = _pool_to_conv(node, network.shapes)
            if converted is not None:
                node, layer = converted
                layers[node.name] = layer
                constants |= {node.input[1]: layer.dequantized_weight, node.input[2]: layer.bias}
        nodes.append(node)
    if len(layers) == len(plan.layers):
        return plan
    rewritten = AnalyzedNetwork(assemble(network.model, nodes, constants))
    return replace(plan, network=rewritten, layers=layers)


def _pool_to_conv(pool: NodeProto, shapes: Shapes) -> tuple[NodeProto, QuantizedConv] | None:
    """Return a convolution that computes the same, or None if there is none.

    A 2x2 pool over 16 channels becomes weights of (16, 1, 2, 2) that are all 127, with scales of
    1 / (127 * 4).
    """
    attributes = attributes_of(pool)
    pads, kernel = attributes.get("pads", [0] * 4), attributes["kernel_shape"]
    divides_by_fewer = any(pads) and not attributes.get("count_include_pad", 0)
    has_plain_border = (
        not divides_by_fewer
        and not attributes.get("ceil_mode", 0)
        and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    )
    is_dilated = any(step != 1 for step in attributes.get("dilations", [1]))
    if not has_plain_border or len(kernel) != 2 or is_dilated:
        return None
    channels = shapes[pool.input[0]][1]
    node = helper.make_node(
        "Conv",
        [pool.input[0], f"{pool.name}.weight", f"{pool.name}.bias"],
        [pool.output[0]],
        pool.name,
        group=channels,
        kernel_shape=kernel,
        pads=pads,
        strides=attributes.get("strides", [1, 1]),
    )
    weight = np.full((channels, 1, *kernel), INT8_STEPS, np.int8)
    scales = np.full(channels, 1 / (INT8_STEPS * kernel[0] * kernel[1]), np.float32)
    return node, QuantizedConv(weight, scales, np.zeros(channels, np.float32))


def resizes_to_concats(plan: QuantizationPlan) -> QuantizationPlan:
    """Turn a Resize that repeats pixels into copies of columns and then of rows.

    Integers are moved, and nothing is computed.
    """
    network, ranges = plan.network, dict(plan.ranges)
    constants, nodes = dict(network.constants), []
    for node in network.topology.nodes:
        is_rewritten = (
            node.op_type == "Resize"
            and plan.is_quantized(node.input[0], node.output[0])
            and _repeats_pixels(node, network.shapes)
        )
        if not is_rewritten:
            nodes.append(node)
            continue
        copies, sides = _copies_of_pixels(node, network.shapes)
        nodes += copies
        constants |= sides
        for copy in copies:
            ranges[copy.output[0]] = ranges[node.input[0]]
        ranges[node.output[0]] = plan.ranges[node.output[0]]
    if len(ranges) == len(plan.ranges):
        return plan
    rewritten = AnalyzedNetwork(assemble(network.model, nodes, constants))
    return replace(plan, network=rewritten, ranges=ranges)


def _repeats_pixels(node: NodeProto, shapes: Shapes) -> bool:
    """Return True for a Resize that repeats each pixel a whole number of times."""
    attributes, before, after = attributes_of(node), shapes[node.input[0]], shapes[node.output[0]]
    mode = (
        attributes.get("coordinate_transformation_mode", b"half_pixel"),
        attributes.get("nearest_mode", b"round_prefer_floor"),
    )
    is_nearest = attributes.get("mode", b"nearest") == b"nearest" and mode in REPEATING_MODES
    by_whole_factors = all(new % old == 0 for new, old in zip(after, before))
    is_single_pixel = before[2:] == (1, 1)  # spread over a map it would be too many copies
    return is_nearest and before[:2] == after[:2] and by_whole_factors and not is_single_pixel


def _copies_of_pixels(node: NodeProto, shapes: Shapes) -> tuple[list[NodeProto], Constants]:
    """Return nodes that repeat pixels, and the shapes that they read.

    Behind a Transpose to (N, h, w, C), copies beside each other along the channels repeat columns,
    and copies of whole rows repeat rows. Enlarging (1, 8, 2, 3) to (1, 8, 4, 9):

        last     (1, 2, 3, 8)
        columns  (1, 2, 3, 24)   three times the 8 channels: each pixel three times
        line     (1, 2, 1, 72)   a row of 9 pixels
        rows     (1, 2, 2, 72)   each row twice
        large    (1, 4, 9, 8)
    """
    batch, channels, height, width = shapes[node.input[0]]
    _, _, new_height, new_width = shapes[node.output[0]]
    name = node.name
    last, columns, line, rows, large = (
        f"{name}.{part}" for part in ("last", "columns", "line", "rows", "large")
    )
    constants: Constants = {
        f"{name}.row": np.array([batch, height, 1, new_width * channels], np.int64),
        f"{name}.full": np.array([batch, new_height, new_width, channels], np.int64),
    }

    def step(
        operator: str, inputs: list[str], output: str, **attributes: Any
    ) -> NodeProto:  # Any: as in ONNX
        return helper.make_node(
            operator, inputs, [output], f"{output}.{operator.lower()}", **attributes
        )

    return [
        step("Transpose", [node.input[0]], last, perm=[0, 2, 3, 1]),
        step("Concat", [last] * (new_width // width), columns, axis=3),
        step("Reshape", [columns, f"{name}.row"], line),
        step("Concat", [line] * (new_height // height), rows, axis=2),
        step("Reshape", [rows, f"{name}.full"], large),
        step("Transpose", [large], node.output[0], perm=[0, 3, 1, 2]),
    ], constants


def pad_output_channels(plan: QuantizationPlan) -> QuantizationPlan:
    """Give convolutions with fewer than sixteen outputs sixteen, and cut the others off again.

    Such are the classifiers of U-Nets, with kernels over several pixels. Without it, ONNX Runtime
    copies each window, as in `edgeseg.export.onnxruntime_cpu.stem_widening`.
    """
    network = plan.network
    layers, ranges = dict(plan.layers), dict(plan.ranges)
    constants, nodes = dict(network.constants), []
    for node in network.topology.nodes:
        is_candidate = (
            node.name in plan.layers
            and node.output[0] not in network.absorbed
            and plan.is_quantized(node.input[0], node.output[0])
        )
        if not is_candidate or not _is_thin(node, plan.layers[node.name]):
            nodes.append(node)
            continue
        output, outputs = node.output[0], len(plan.layers[node.name].weight_int8)
        layer = layers[node.name] = _padded_layer(plan.layers[node.name])
        padded = copy_node(node)
        padded.input[1:] = [f"{node.name}.thick.weight", f"{node.name}.thick.bias"]
        padded.output[:] = [f"{output}.thick"]
        constants |= {padded.input[1]: layer.dequantized_weight, padded.input[2]: layer.bias}
        window = {f"{output}.first": 0, f"{output}.end": outputs, f"{output}.axis": 1}
        constants |= {name: np.array([value], np.int64) for name, value in window.items()}
        cut = helper.make_node("Slice", [*padded.output, *window], [output], f"{output}.cut")
        nodes += [padded, cut]
        ranges[padded.output[0]] = ranges[output]
    if len(ranges) == len(plan.ranges):
        return plan
    rewritten = AnalyzedNetwork(assemble(network.model, nodes, constants))
    return replace(plan, network=rewritten, ranges=ranges, layers=layers)


def _is_thin(node: NodeProto, layer: QuantizedConv) -> bool:
    """Return True for a convolution over several pixels with fewer outputs than a block."""
    outputs, _, *kernel = layer.weight_int8.shape
    has_groups = attributes_of(node).get("group", 1) != 1
    return outputs < CHANNEL_BLOCK and kernel != [1, 1] and not has_groups


def _padded_layer(layer: QuantizedConv) -> QuantizedConv:
    """Return the layer with a whole block of outputs, the new ones being zero."""
    missing = CHANNEL_BLOCK - len(layer.weight_int8)
    return QuantizedConv(
        np.pad(layer.weight_int8, [(0, missing), (0, 0), (0, 0), (0, 0)]),
        np.pad(layer.scales, (0, missing), mode="edge"),
        np.pad(layer.bias, (0, missing)),
    )
