"""The first convolution of the CPU flavour, made wide enough for ONNX Runtime's fast kernels.

They want a multiple of four input channels; an image has three, and is copied window by window,
which takes longer than the convolution itself. Four pixels side by side are twelve channels,
without moving a byte where channels come last. A convolution over those, which gives two outputs at
once, has the same products and some zeros beside: the same codes come out in a third of the time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from edgeseg.export.graph.lowering import assemble, attributes_of, static_shapes
from edgeseg.export.graph.qdq_nodes import GraphTopology, Parts, QuantizedConv, Ranges

PIXELS_PER_GROUP = 4  # pixels that become channels
Number = TypeVar("Number", np.int8, np.float32)


def widen_stem(
    network: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv],
    islands: Collection[str] = (),
) -> Parts:
    """What `place_qdq_cpu` takes, for an input of (N, 12, H, W / 4): channel 3 p + c is channel c of
    every fourth pixel.

    Networks whose first layer does not halve the width, in integers, are given back as they are.
    """
    wiring, shapes = GraphTopology(network), static_shapes(network)
    entry = network.graph.input[0]
    stem = wiring.consumers[entry.name][0]
    if stem.name not in layers or any(len(wiring.consumers[name]) > 1 for name in stem.input):
        return network, ranges, layers
    layer = layers[stem.name]
    attributes = attributes_of(stem)
    given = wiring.absorbed_tensors().get(stem.output[0], stem.output[0])
    batch, channels, height, width = shapes[entry.name]
    (_, outputs, down, right), kernel = shapes[given], layer.weight_int8.shape[2:]
    top, left, bottom, _ = attributes.get("pads", [0] * 4)
    plain = attributes.get("group", 1) == 1 and all(
        step == 1 for step in attributes.get("dilations", [1])
    )
    if (
        not plain
        or width % PIXELS_PER_GROUP
        or right * 2 != width
        or attributes.get("strides", [1, 1])[1] != 2
        or any(name in islands or name not in ranges for name in (entry.name, given))
    ):
        return network, ranges, layers

    codes, before, behind = widened_weight(layer.weight_int8, left)
    constants = dict(wiring.constants)
    constants[stem.input[1]], _, _ = widened_weight(constants[stem.input[1]], left)
    constants |= {name: np.tile(constants[name], 2) for name in stem.input[2:]}
    names = [f"{given}.wide", f"{given}.last", f"{given}.narrow"]
    nodes = []
    for node in wiring.nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        copy.output[:] = [names[0] if name == given else name for name in node.output]
        if node.name == stem.name:
            sides = {
                "pads": [top, before, bottom, behind],
                "strides": [attributes["strides"][0], 1],
            }
            copy.ClearField("attribute")
            for name, value in {"kernel_shape": [kernel[0], codes.shape[3]], **sides}.items():
                copy.attribute.append(helper.make_attribute(name, value))
        nodes.append(copy)
        if given in node.output:
            constants[f"{given}.shape"] = np.array([batch, down, right, outputs], np.int64)
            nodes += [
                helper.make_node(
                    "Transpose", names[:1], names[1:2], f"{names[1]}.transpose", perm=[0, 2, 3, 1]
                ),
                helper.make_node(
                    "Reshape", [names[1], f"{given}.shape"], names[2:], f"{names[2]}.reshape"
                ),
                helper.make_node(
                    "Transpose", names[2:], [given], f"{given}.transpose", perm=[0, 3, 1, 2]
                ),
            ]
    shell = ModelProto()
    shell.CopyFrom(network)
    entering = (batch, PIXELS_PER_GROUP * channels, height, width // PIXELS_PER_GROUP)
    for dimension, side in zip(shell.graph.input[0].type.tensor_type.shape.dim, entering):
        dimension.dim_value = side
    wide = replace(
        layer, weight_int8=codes, scales=np.tile(layer.scales, 2), bias=np.tile(layer.bias, 2)
    )
    more = dict.fromkeys(names, ranges[given])
    return assemble(shell, nodes, constants), {**ranges, **more}, {**layers, stem.name: wide}


def widened_weight(weight: NDArray[Number], left: int) -> tuple[NDArray[Number], int, int]:
    """Weights over four pixels at a time, for the even and then the odd columns; padding in front
    and behind.

    Args:
        weight: (O, I, kh, kw) of a convolution with stride 2 across.
        left: its padding in front.

    Returns:
        (2 O, 4 I, kh, k) and two numbers of groups of four.
    """
    outputs, inputs, height, width = weight.shape
    places = [[2 * odd - left + tap for tap in range(width)] for odd in (0, 1)]
    before, behind = -(places[0][0] // PIXELS_PER_GROUP), places[1][-1] // PIXELS_PER_GROUP
    made = np.zeros(
        (2, outputs, PIXELS_PER_GROUP, inputs, height, before + behind + 1), weight.dtype
    )
    for odd, columns in enumerate(places):
        for tap, place in enumerate(columns):
            made[odd, :, place % PIXELS_PER_GROUP, :, :, before + place // PIXELS_PER_GROUP] = (
                weight[..., tap]
            )
    return made.reshape(2 * outputs, PIXELS_PER_GROUP * inputs, height, -1), before, behind
