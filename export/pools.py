"""Average pools of the CPU flavour as depthwise convolutions, ten times as fast on codes in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper

from edgeseg.export.graph import Shapes, assemble, attributes_of, static_shapes
from edgeseg.export.quantise import WEIGHT_STEPS, Layer, Parts, Ranges, Wiring


def pools_as_layers(
    network: ModelProto, ranges: Ranges, layers: Mapping[str, Layer], islands: Collection[str] = ()
) -> Parts:
    """What `place_cpu` takes, with a layer of equal weights for every AveragePool between codes.

    A pool that divides by fewer than all its pixels at the border stays as it is.
    """
    wiring, shapes, more = Wiring(network), static_shapes(network), dict(layers)
    constants, nodes = dict(wiring.constants), []
    for node in wiring.nodes:
        ends = (node.input[0], node.output[0]) if node.input else ()
        coded = all(name in ranges and name not in islands for name in ends)
        made = _layer(node, shapes) if node.op_type == "AveragePool" and coded else None
        if made is not None:
            node, more[node.name] = made
            constants |= {node.input[1]: more[node.name].weight, node.input[2]: more[node.name].bias}
        nodes.append(node)
    return (assemble(network, nodes, constants), ranges, more) if len(more) > len(layers) else (network, ranges, layers)


def _layer(pool: NodeProto, shapes: Shapes) -> tuple[NodeProto, Layer] | None:
    attributes = attributes_of(pool)
    pads, sides = attributes.get("pads", [0] * 4), attributes["kernel_shape"]
    short = any(pads) and not attributes.get("count_include_pad", 0)
    if short or attributes.get("ceil_mode", 0) or attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or len(sides) != 2:
        return None
    if any(step != 1 for step in attributes.get("dilations", [1])):
        return None
    channels = shapes[pool.input[0]][1]
    node = helper.make_node(
        "Conv", [pool.input[0], f"{pool.name}.weight", f"{pool.name}.bias"], [pool.output[0]], pool.name,
        group=channels, kernel_shape=sides, pads=pads, strides=attributes.get("strides", [1, 1]),
    )  # fmt: skip
    codes = np.full((channels, 1, *sides), WEIGHT_STEPS, np.int8)
    scales = np.full(channels, 1 / (WEIGHT_STEPS * sides[0] * sides[1]), np.float32)
    return node, Layer(codes, scales, np.zeros(channels, np.float32))
