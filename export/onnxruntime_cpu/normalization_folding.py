"""The normalization, moved into the first convolution as far as that changes nothing.

Divided by `std` are the first weights instead of each pixel. In the CPU flavour the pixels
themselves, which are 8-bit codes as the camera gives them, go into that convolution, and its bias
subtracts their mean.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from edgeseg.calibration.observers import INT8_STEPS
from edgeseg.export.graph.lowering import Constants, assemble, attributes_of, static_shapes
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.graph.qdq_nodes import GraphTopology, Parts, QuantizedConv, Ranges
from edgeseg.export.onnxruntime_cpu.qdq_placement import scale_and_zero_point

GRAY_LEVELS = (
    -float(INT8_STEPS),
    float(INT8_STEPS),
)  # a range whose codes are one gray level apart
UNIT_STD = (1 / 255,) * 3  # what `std` is once the weights are divided by it


def fold_std(network: ModelProto, interface: Interface) -> tuple[ModelProto, Interface]:
    """The same graph once wrapped, with the first weights divided by `std`; pixels only lose their
    mean.

    The mean stays in front because padding is zeros behind it. Networks that do not begin with a
    convolution over all channels are given back as they are.
    """
    wiring, entry = GraphTopology(network), network.graph.input[0].name
    stem = wiring.consumers[entry][0]
    plain = (
        stem.op_type == "Conv"
        and stem.input[0] == entry
        and attributes_of(stem).get("group", 1) == 1
    )
    if not plain or stem.input[1] not in wiring.constants or _shared(wiring, stem):
        return network, interface
    weight, steps = wiring.constants[stem.input[1]], 255 * np.array(interface.std, np.float64)
    folded = (weight / steps[:, None, None]).astype(np.float32)
    made = assemble(network, wiring.nodes, wiring.constants | {stem.input[1]: folded})
    return made, replace(interface, std=UNIT_STD)


def fold_mean(
    network: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv],
    islands: Collection[str],
    interface: Interface,
) -> Parts:
    """What `place_qdq_cpu` takes, for a network that takes `image` (N, H, W, 3) uint8 and needs nothing
    in front.

    Its border is padded with the mean to the nearest gray level. All else is exact, while codes of
    normalized values are up to 0.6 gray levels off. Networks that `fold_std` left alone, and those
    that begin in float, stay as they are.

    Args:
        network: what `widen_stem` gave.
        interface: what `fold_std` gave.
    """
    wiring, entry = GraphTopology(network), network.graph.input[0].name
    stem = wiring.consumers[entry][0]
    given = wiring.absorbed_tensors().get(stem.output[0], stem.output[0])
    floats = stem.name not in layers or any(
        name in islands or name not in ranges for name in (entry, given)
    )
    if floats or interface.std != UNIT_STD or _shared(wiring, stem):
        return network, ranges, layers
    layer, shape = layers[stem.name], static_shapes(network)[entry]
    mean = 255 * np.tile(interface.mean, shape[1] // 3)
    scale, middle = scale_and_zero_point(GRAY_LEVELS)
    front, constants = _padded(
        shape, attributes_of(stem).get("pads", [0] * 4), np.rint(mean).astype(np.uint8)
    )
    constants |= wiring.constants | {"pixels.scale": np.float32(scale), "pixels.zero": middle}
    codes = ["pixels.codes", "pixels.scale", "pixels.zero"]
    front += [
        helper.make_node(
            "Transpose", front[-1].output, codes[:1], "pixels.transpose", perm=[0, 3, 1, 2]
        ),
        helper.make_node("DequantizeLinear", codes, ["pixels"], "pixels.dq"),
    ]
    copy = NodeProto()
    copy.CopyFrom(stem)
    copy.input[0] = "pixels"
    unpadded = [attribute for attribute in stem.attribute if attribute.name != "pads"]
    copy.ClearField("attribute")
    copy.attribute.extend(unpadded)
    nodes = [*front, *(copy if node.name == stem.name else node for node in wiring.nodes)]
    shell = ModelProto()
    shell.CopyFrom(network)
    full = [interface.batch, interface.height, interface.width, 3]
    shell.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.UINT8, full))
    brightness = layer.dequantized_weight.sum((2, 3), dtype=np.float64) @ (mean - float(middle))
    centered = replace(layer, bias=(layer.bias - brightness).astype(np.float32))
    return (
        assemble(shell, nodes, constants),
        {**ranges, "pixels": GRAY_LEVELS},
        {**layers, stem.name: centered},
    )


def _shared(wiring: GraphTopology, stem: NodeProto) -> bool:
    """Whether somebody else reads what the first layer reads."""
    return any(len(wiring.consumers[name]) > 1 for name in stem.input[:2])


def _padded(
    shape: tuple[int, ...], pads: list[int], border: NDArray[np.uint8]
) -> tuple[list[NodeProto], Constants]:
    """`image` as (N, H, W, C), with so many rows and columns of the color `border` around it."""
    batch, channels, height, width = shape
    top, left, bottom, right = pads
    whole = width + left + right
    sides = {
        "left": (batch, height, left),
        "right": (batch, height, right),
        "top": (batch, top, whole),
        "bottom": (batch, bottom, whole),
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
        ends = [
            [f"pixels.{name}"] if f"pixels.{name}" in constants else [] for name in (before, behind)
        ]
        parts = [*ends[0], *nodes[-1].output, *ends[1]]
        if len(parts) > 1:
            name = f"pixels.from_{before}"
            nodes.append(helper.make_node("Concat", parts, [name], f"{name}.concat", axis=axis))
    return nodes, constants
