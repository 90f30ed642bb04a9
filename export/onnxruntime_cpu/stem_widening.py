"""Stem widening: the first convolution of the CPU flavour reads four pixels as one, so that ONNX
Runtime takes a fast kernel for it.

The kernels want a multiple of four input channels; an image has three, and is copied window by
window, which takes longer than the convolution itself. Four pixels side by side are twelve
channels, without moving a byte where channels come last. A convolution over those, which gives two
outputs at once, has the same products and some zeros beside: the same integers come out in a third
of the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.onnx_helpers import Shapes, assemble, attributes_of, copy_model, copy_node
from edgeseg.export.graph.qdq_nodes import QuantizationPlan, QuantizedConv

PIXELS_PER_GROUP = 4  # pixels of a row that become one, their channels one after another
Number = TypeVar("Number", np.int8, np.float32)


def widen_stem(plan: QuantizationPlan) -> QuantizationPlan:
    """Let the network take (N, 12, H, W / 4), and its first convolution give two outputs at once.

    Channel 3 p + c of the new input at column g is channel c of the pixel in column 4 g + p. For an
    image of 64 x 96 and a 3x3 convolution of stride 2 and padding 1 with 16 outputs:

        input       (1, 3, 64, 96)   becomes  (1, 12, 64, 24)
        weight      (16, 3, 3, 3)    becomes  (32, 12, 3, 2), see `widened_weight`
        strides     2, 2             become   2, 1
        pads        1, 1, 1, 1       become   1, 1, 1, 0, in groups across
        output      (1, 16, 32, 48)  becomes  (1, 32, 32, 24): first the 16 outputs of the even
                                              columns, then those of the odd ones

    Behind it, and behind its activation, three nodes bring the columns back in order:
    (1, 32, 32, 24) -> last (1, 32, 24, 32) -> narrow (1, 32, 48, 16) -> (1, 16, 32, 48).

    Networks whose first layer does not halve the width, in integers, are returned as they are.
    """
    network = plan.network
    stem = network.topology.consumers[network.input_name][0]
    if not _can_widen(stem, plan):
        return plan
    # what the activation behind the stem gives, or the stem itself
    output = network.absorbed.get(stem.output[0], stem.output[0])
    wide, last, narrow = f"{output}.wide", f"{output}.last", f"{output}.narrow"
    layer, wide_layer = plan.layers[stem.name], _widened_layer(plan.layers[stem.name], stem)

    constants = dict(network.constants)
    constants[stem.input[1]], _, _ = widened_weight(constants[stem.input[1]], _left_padding(stem))
    constants |= {name: np.tile(constants[name], 2) for name in stem.input[2:]}
    batch, channels, rows, columns = network.shapes[output]
    constants[f"{output}.shape"] = np.array([batch, rows, columns, channels], np.int64)
    reorder = [
        helper.make_node("Transpose", [wide], [last], f"{last}.transpose", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", [last, f"{output}.shape"], [narrow], f"{narrow}.reshape"),
        helper.make_node("Transpose", [narrow], [output], f"{output}.transpose", perm=[0, 3, 1, 2]),
    ]

    nodes = []
    for node in network.topology.nodes:
        copy = _widened_conv(node, layer) if node.name == stem.name else copy_node(node)
        copy.output[:] = [wide if name == output else name for name in node.output]
        nodes.append(copy)
        if output in node.output:
            nodes += reorder
    model = assemble(_with_grouped_input(network.model, network.shapes), nodes, constants)
    ranges = dict.fromkeys((wide, last, narrow), plan.ranges[output])
    return replace(
        plan,
        network=AnalyzedNetwork(model),
        ranges={**plan.ranges, **ranges},
        layers={**plan.layers, stem.name: wide_layer},
    )


def _can_widen(stem: NodeProto, plan: QuantizationPlan) -> bool:
    """Return True for a plain quantized convolution that halves the width and reads it alone."""
    network = plan.network
    consumers, shapes = network.topology.consumers, network.shapes
    if stem.name not in plan.layers or any(len(consumers[name]) > 1 for name in stem.input):
        return False
    attributes = attributes_of(stem)
    has_groups = attributes.get("group", 1) != 1
    is_dilated = any(step != 1 for step in attributes.get("dilations", [1]))
    output = network.absorbed.get(stem.output[0], stem.output[0])
    width, new_width = shapes[network.input_name][3], shapes[output][3]
    halves_width = attributes.get("strides", [1, 1])[1] == 2 and new_width * 2 == width
    return (
        not has_groups
        and not is_dilated
        and halves_width
        and width % PIXELS_PER_GROUP == 0
        and plan.is_quantized(network.input_name, output)
    )


def _left_padding(conv: NodeProto) -> int:
    return int(attributes_of(conv).get("pads", [0] * 4)[1])


def _widened_layer(layer: QuantizedConv, stem: NodeProto) -> QuantizedConv:
    """Return the layer with its outputs twice, for even and for odd columns."""
    weight, _, _ = widened_weight(layer.weight_int8, _left_padding(stem))
    return QuantizedConv(weight, np.tile(layer.scales, 2), np.tile(layer.bias, 2))


def _widened_conv(stem: NodeProto, layer: QuantizedConv) -> NodeProto:
    """Return the convolution over groups of four pixels, with the attributes that it needs."""
    attributes = attributes_of(stem)
    top, left, bottom, _ = attributes.get("pads", [0] * 4)
    weight, groups_before, groups_behind = widened_weight(layer.weight_int8, left)
    conv = copy_node(stem)
    conv.ClearField("attribute")
    for name, value in {
        "kernel_shape": list(weight.shape[2:]),
        "pads": [top, groups_before, bottom, groups_behind],
        "strides": [attributes["strides"][0], 1],
    }.items():
        conv.attribute.append(helper.make_attribute(name, value))
    return conv


def _with_grouped_input(model: ModelProto, shapes: Shapes) -> ModelProto:
    """Return the model with an input of (N, 12, H, W / 4)."""
    shell = copy_model(model)
    entry = shell.graph.input[0]
    batch, channels, height, width = shapes[entry.name]
    grouped = (batch, PIXELS_PER_GROUP * channels, height, width // PIXELS_PER_GROUP)
    for dimension, side in zip(entry.type.tensor_type.shape.dim, grouped):
        dimension.dim_value = side
    return shell


def widened_weight(weight: NDArray[Number], left: int) -> tuple[NDArray[Number], int, int]:
    """Return weights over groups of four pixels, for the even and then the odd output columns.

    A group of the input gives two output columns, the even one 2 g and the odd one 2 g + 1. Counted
    in pixels from the start of group g, tap t of the even column reads pixel t - left and of the
    odd one pixel t - left + 2. With a kernel of 3 and a padding of 1 (`left`):

        even    pixels -1, 0, 1    of which -1 is pixel 3 of the group before
        odd     pixels 1, 2, 3     all of this group

    So the new kernel is 2 groups wide, one group of padding is needed in front and none behind, and
    the taps stand in it as (each dot a zero weight):

        group     before     this
        pixel     0 1 2 3    0 1 2 3
        even      . . . a    b c . .
        odd       . . . .    . a b c

    Args:
        weight: (O, I, kh, kw) of a convolution with stride 2 across.
        left: Its padding in front.

    Returns:
        (2 O, 4 I, kh, k), and the padding in front and behind, in groups.
    """
    outputs, inputs, height, width = weight.shape
    even_pixels = [tap - left for tap in range(width)]
    odd_pixels = [pixel + 2 for pixel in even_pixels]
    groups_before = -(even_pixels[0] // PIXELS_PER_GROUP)
    groups_behind = odd_pixels[-1] // PIXELS_PER_GROUP
    groups = groups_before + 1 + groups_behind
    wide = np.zeros((2, outputs, PIXELS_PER_GROUP, inputs, height, groups), weight.dtype)
    for odd, pixels in enumerate((even_pixels, odd_pixels)):
        for tap, pixel in enumerate(pixels):
            group, place = divmod(pixel, PIXELS_PER_GROUP)
            wide[odd, :, place, :, :, groups_before + group] = weight[..., tap]
    shape = (2 * outputs, PIXELS_PER_GROUP * inputs, height, groups)
    return wide.reshape(shape), groups_before, groups_behind
