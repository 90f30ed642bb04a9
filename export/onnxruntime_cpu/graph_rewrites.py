"""What the CPU flavour says otherwise than the network, because ONNX Runtime computes that faster
on codes.

Each function takes and gives what `place_qdq_cpu` takes; the codes that come out are the same. Tensors
that are islands, or have no range, are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper

from edgeseg.export.graph.lowering import Shapes, assemble, attributes_of, static_shapes
from edgeseg.export.graph.qdq_nodes import WEIGHT_STEPS, GraphTopology, Parts, QuantizedConv, Ranges
from edgeseg.export.onnxruntime_cpu.stem_widening import widen_stem

CHANNEL_BLOCK = 16  # outputs that ONNX Runtime's direct convolution computes at once
REPEATING_MODES = {  # how a Resize may look up the nearest pixel if whole factors shall repeat each
    (b"asymmetric", b"floor"),
    (b"half_pixel", b"round_prefer_floor"),
    (b"half_pixel", b"round_prefer_ceil"),
}


def rewrite_for_cpu(
    network: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv],
    islands: Collection[str] = (),
) -> Parts:
    """All of it."""
    parts: Parts = (network, ranges, layers)
    for function in (pools_to_convs, resizes_to_concats, pad_output_channels, widen_stem):
        parts = function(*parts, islands)
    return parts


def pools_to_convs(
    network: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv],
    islands: Collection[str] = (),
) -> Parts:
    """Average pools as depthwise convolutions of equal weights, ten times as fast.

    A pool that divides by fewer than all its pixels at the border stays as it is.
    """
    wiring, shapes, more = GraphTopology(network), static_shapes(network), dict(layers)
    constants, nodes = dict(wiring.constants), []
    for node in wiring.nodes:
        made = (
            _layer(node, shapes)
            if node.op_type == "AveragePool" and _coded(node, ranges, islands)
            else None
        )
        if made is not None:
            node, more[node.name] = made
            constants |= {
                node.input[1]: more[node.name].dequantized_weight,
                node.input[2]: more[node.name].bias,
            }
        nodes.append(node)
    return (
        (assemble(network, nodes, constants), ranges, more)
        if len(more) > len(layers)
        else (network, ranges, layers)
    )


def _coded(node: NodeProto, ranges: Ranges, islands: Collection[str]) -> bool:
    return all(name in ranges and name not in islands for name in (node.input[0], node.output[0]))


def _layer(pool: NodeProto, shapes: Shapes) -> tuple[NodeProto, QuantizedConv] | None:
    attributes = attributes_of(pool)
    pads, sides = attributes.get("pads", [0] * 4), attributes["kernel_shape"]
    short = any(pads) and not attributes.get("count_include_pad", 0)
    if (
        short
        or attributes.get("ceil_mode", 0)
        or attributes.get("auto_pad", b"NOTSET") != b"NOTSET"
        or len(sides) != 2
    ):
        return None
    if any(step != 1 for step in attributes.get("dilations", [1])):
        return None
    channels = shapes[pool.input[0]][1]
    node = helper.make_node(
        "Conv",
        [pool.input[0], f"{pool.name}.weight", f"{pool.name}.bias"],
        [pool.output[0]],
        pool.name,
        group=channels,
        kernel_shape=sides,
        pads=pads,
        strides=attributes.get("strides", [1, 1]),
    )
    codes = np.full((channels, 1, *sides), WEIGHT_STEPS, np.int8)
    scales = np.full(channels, 1 / (WEIGHT_STEPS * sides[0] * sides[1]), np.float32)
    return node, QuantizedConv(codes, scales, np.zeros(channels, np.float32))


def resizes_to_concats(
    network: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv],
    islands: Collection[str] = (),
) -> Parts:
    """Pixels that a Resize repeats, as copies of columns and then of rows: codes are moved, and
    nothing is computed.
    """
    wiring, shapes, more = GraphTopology(network), static_shapes(network), dict(ranges)
    constants, nodes = dict(wiring.constants), []
    for node in wiring.nodes:
        if node.op_type == "Resize" and _coded(node, ranges, islands) and _repeats(node, shapes):
            made, values = _copies(node, shapes)
            nodes += made
            constants |= values
            more |= dict.fromkeys(
                (name for step in made for name in step.output[:1]), ranges[node.input[0]]
            )
            more[node.output[0]] = ranges[node.output[0]]
        else:
            nodes.append(node)
    return (
        (assemble(network, nodes, constants), more, layers)
        if len(more) > len(ranges)
        else (network, ranges, layers)
    )


def _repeats(node: NodeProto, shapes: Shapes) -> bool:
    attributes, before, after = attributes_of(node), shapes[node.input[0]], shapes[node.output[0]]
    rule = tuple(
        attributes.get(name, usual)
        for name, usual in (
            ("coordinate_transformation_mode", b"half_pixel"),
            ("nearest_mode", b"round_prefer_floor"),
        )
    )
    if (
        attributes.get("mode", b"nearest") != b"nearest"
        or rule not in REPEATING_MODES
        or before[:2] != after[:2]
    ):
        return False
    whole = all(new % old == 0 for new, old in zip(after, before))
    return whole and before[2:] != (1, 1)  # one pixel spread over a map: too many copies


def _copies(
    node: NodeProto, shapes: Shapes
) -> tuple[list[NodeProto], dict[str, Any]]:  # Any: arrays
    (batch, channels, height, width), (_, _, high, wide) = (
        shapes[node.input[0]],
        shapes[node.output[0]],
    )
    name = node.name
    names = [f"{name}.{part}" for part in ("last", "columns", "line", "rows", "large")]
    sides = {
        f"{name}.row": [batch, height, 1, wide * channels],
        f"{name}.full": [batch, high, wide, channels],
    }

    def step(
        operator: str, inputs: list[str], given: str, **attributes: Any
    ) -> NodeProto:  # Any: as in ONNX
        return helper.make_node(
            operator, inputs, [given], f"{given}.{operator.lower()}", **attributes
        )

    return [
        step("Transpose", [node.input[0]], names[0], perm=[0, 2, 3, 1]),
        step("Concat", [names[0]] * (wide // width), names[1], axis=3),
        step("Reshape", [names[1], f"{name}.row"], names[2]),
        step("Concat", [names[2]] * (high // height), names[3], axis=2),
        step("Reshape", [names[3], f"{name}.full"], names[4]),
        step("Transpose", names[4:], node.output[0], perm=[0, 3, 1, 2]),
    ], {key: np.array(value, np.int64) for key, value in sides.items()}


def pad_output_channels(
    network: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv],
    islands: Collection[str] = (),
) -> Parts:
    """Convolutions over several pixels with fewer than sixteen outputs get sixteen; the others are
    cut off again.

    Such are the classifiers of U-Nets. Without, ONNX Runtime copies each window, as in
    `edgeseg.export.onnxruntime_cpu.stem_widening`.
    """
    wiring, wider, more = GraphTopology(network), dict(layers), dict(ranges)
    constants, nodes, absorbed = dict(wiring.constants), [], wiring.absorbed_tensors()
    for node in wiring.nodes:
        nodes.append(node)
        if (
            node.name not in layers
            or node.output[0] in absorbed
            or not _coded(node, ranges, islands)
        ):
            continue
        layer = layers[node.name]
        outputs, _, *kernel = layer.weight_int8.shape
        if outputs >= CHANNEL_BLOCK or kernel == [1, 1] or attributes_of(node).get("group", 1) != 1:
            continue
        missing = CHANNEL_BLOCK - outputs
        wider[node.name] = replace(
            layer,
            weight_int8=np.pad(layer.weight_int8, [(0, missing), (0, 0), (0, 0), (0, 0)]),
            scales=np.pad(layer.scales, (0, missing), mode="edge"),
            bias=np.pad(layer.bias, (0, missing)),
        )
        given, made = node.output[0], NodeProto()
        made.CopyFrom(node)
        made.input[1:] = [f"{node.name}.thick.weight", f"{node.name}.thick.bias"]
        made.output[:] = [f"{given}.thick"]
        constants |= {
            made.input[1]: wider[node.name].dequantized_weight,
            made.input[2]: wider[node.name].bias,
        }
        cut = {"first": [0], "end": [outputs], "axis": [1]}
        constants |= {f"{given}.{name}": np.array(value, np.int64) for name, value in cut.items()}
        inputs = [*made.output, *(f"{given}.{name}" for name in cut)]
        nodes[-1:] = [made, helper.make_node("Slice", inputs, [given], f"{given}.cut")]
        more[made.output[0]] = ranges[given]
    return (
        (assemble(network, nodes, constants), more, wider)
        if len(more) > len(ranges)
        else (network, ranges, layers)
    )
