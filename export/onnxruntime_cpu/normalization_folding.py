"""Normalization folding: the network normalizes pixels in its first convolution instead of in front
of it, which saves arithmetic on every pixel.

A convolution of (pixel / 255 - mean) / std is a convolution of the pixels with other weights and
another bias. `fold_std` divides the first weights by `std`, in every flavour. `fold_mean` goes on
in the CPU flavour: the pixels themselves, which are 8-bit integers as the camera gives them, go
into the convolution, and its bias subtracts their mean.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from edgeseg.calibration.histogram import INT8_STEPS
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.onnx_helpers import (
    Constants,
    assemble,
    attributes_of,
    copy_model,
    copy_node,
)
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.graph.qdq_nodes import QuantizationPlan, QuantizedConv
from edgeseg.export.onnxruntime_cpu.qdq_placement import scale_and_zero_point

GRAY_LEVELS = (-float(INT8_STEPS), float(INT8_STEPS))  # a range whose steps are one gray level
UNIT_STD = (1 / 255,) * 3  # what `std` is once the weights are divided by it


def fold_std(network: ModelProto, interface: Interface) -> tuple[ModelProto, Interface]:
    """Divide the first weights by `std`, so that pixels only lose their mean.

    The mean stays in front because padding is zeros behind it. Networks that do not begin with a
    convolution over all channels are returned as they are.

    Returns:
        A network and an interface that give the same whole graph.
    """
    analyzed = AnalyzedNetwork(network)
    stem = _stem(analyzed)
    begins_with_conv = (
        stem.op_type == "Conv"
        and stem.input[0] == analyzed.input_name
        and attributes_of(stem).get("group", 1) == 1
        and stem.input[1] in analyzed.constants
    )
    if not begins_with_conv or _is_shared(analyzed, stem):
        return network, interface
    weight = analyzed.constants[stem.input[1]]
    std = 255 * np.array(interface.std, np.float64)  # in gray levels
    folded = (weight / std[:, None, None]).astype(np.float32)
    constants = analyzed.constants | {stem.input[1]: folded}
    return assemble(network, analyzed.topology.nodes, constants), replace(interface, std=UNIT_STD)


def fold_mean(plan: QuantizationPlan, interface: Interface) -> QuantizationPlan:
    """Let the network take `image` (N, H, W, 3) uint8 and subtract the mean in its first bias.

    The border is padded with the mean to the nearest gray level. All else is exact, while 8-bit
    values of normalized pixels are up to 0.6 gray levels off. Networks that `fold_std` left alone,
    and those that begin in float, are returned as they are.

    A pixel of 200 enters as the integer 200, which stands for 200 - 128 = 72 with the zero point of
    signed ranges. With a mean of 124, the normalized value is 76; the bias adds the difference of 4
    (128 - 124) times the sum of the weights.

    Args:
        plan: From `widen_stem`.
        interface: From `fold_std`.
    """
    network = plan.network
    stem = _stem(network)
    if interface.std != UNIT_STD or not _takes_pixels(stem, plan):
        return plan
    layer, shape = plan.layers[stem.name], network.shapes[network.input_name]
    mean = 255 * np.tile(interface.mean, shape[1] // 3)  # of each input channel, in gray levels
    step, zero_point = scale_and_zero_point(GRAY_LEVELS)
    border = np.rint(mean).astype(np.uint8)
    pads = attributes_of(stem).get("pads", [0] * 4)

    nodes, constants = _padded_image(shape, pads, border)
    constants |= network.constants | {"pixels.scale": np.float32(step), "pixels.zero": zero_point}
    pixels = ["pixels.codes", "pixels.scale", "pixels.zero"]
    nodes += [
        helper.make_node(
            "Transpose", nodes[-1].output, pixels[:1], "pixels.transpose", perm=[0, 3, 1, 2]
        ),
        helper.make_node("DequantizeLinear", pixels, ["pixels"], "pixels.dq"),
    ]
    for node in network.topology.nodes:
        nodes.append(_without_padding(stem, "pixels") if node.name == stem.name else node)
    model = assemble(_with_image_input(network.model, interface), nodes, constants)
    return replace(
        plan,
        network=AnalyzedNetwork(model),
        ranges={**plan.ranges, "pixels": GRAY_LEVELS},
        layers={**plan.layers, stem.name: _minus_mean(layer, mean - float(zero_point))},
    )


def _stem(network: AnalyzedNetwork) -> NodeProto:
    """Return the first node that reads the input."""
    return network.topology.consumers[network.input_name][0]


def _is_shared(network: AnalyzedNetwork, stem: NodeProto) -> bool:
    """Return True if another node reads the input or the weight of the first layer too."""
    return any(len(network.topology.consumers[name]) > 1 for name in stem.input[:2])


def _takes_pixels(stem: NodeProto, plan: QuantizationPlan) -> bool:
    """Return True if the first layer is a quantized convolution that reads the input alone."""
    output = plan.network.absorbed.get(stem.output[0], stem.output[0])
    return (
        stem.name in plan.layers
        and plan.is_quantized(plan.network.input_name, output)
        and not _is_shared(plan.network, stem)
    )


def _minus_mean(layer: QuantizedConv, mean: NDArray[np.float64]) -> QuantizedConv:
    """Return the layer with a bias that subtracts the (I,) mean of each input channel."""
    shift = layer.dequantized_weight.sum((2, 3), dtype=np.float64) @ mean
    return replace(layer, bias=(layer.bias - shift).astype(np.float32))


def _without_padding(conv: NodeProto, source: str) -> NodeProto:
    """Return the convolution reading another tensor, which is padded already."""
    copy = copy_node(conv)
    copy.input[0] = source
    copy.ClearField("attribute")
    copy.attribute.extend(attribute for attribute in conv.attribute if attribute.name != "pads")
    return copy


def _with_image_input(model: ModelProto, interface: Interface) -> ModelProto:
    """Return the model with `image` as its input."""
    shell = copy_model(model)
    shape = [interface.batch, interface.height, interface.width, 3]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, shape)
    shell.graph.input[0].CopyFrom(image)
    return shell


def _padded_image(
    shape: tuple[int, ...], pads: list[int], border: NDArray[np.uint8]
) -> tuple[list[NodeProto], Constants]:
    """Reshape `image` to (N, H, W, C) and concatenate rows and columns of a color around it.

    For a shape of (1, 12, 64, 24) and pads of top 1, left 1, bottom 1, right 0, `left` is
    (1, 64, 1, 12), there is no `right`, and `top` and `bottom` are (1, 1, 25, 12): columns are
    added first, so rows are as wide as what they stand above.

    Args:
        shape: (N, C, H, W) of the network's input.
        pads: Numbers of rows and columns: top, left, bottom, right.
        border: (C,) the color.
    """
    batch, channels, height, width = shape
    top, left, bottom, right = pads
    full_width = left + width + right
    sides = {
        "left": (batch, height, left),
        "right": (batch, height, right),
        "top": (batch, top, full_width),
        "bottom": (batch, bottom, full_width),
    }
    constants: Constants = {
        f"pixels.{name}": np.broadcast_to(border, (*side, channels))
        for name, side in sides.items()
        if all(side)
    }
    constants["pixels.shape"] = np.array([batch, height, width, channels], np.int64)
    nodes = [
        helper.make_node("Reshape", ["image", "pixels.shape"], ["pixels.last"], "pixels.reshape")
    ]
    for axis, before, behind in ((2, "left", "right"), (1, "top", "bottom")):
        parts = [f"pixels.{before}", *nodes[-1].output, f"pixels.{behind}"]
        parts = [part for part in parts if part in constants or part in nodes[-1].output]
        if len(parts) > 1:
            name = f"pixels.from_{before}"
            nodes.append(helper.make_node("Concat", parts, [name], f"{name}.concat", axis=axis))
    return nodes, constants
