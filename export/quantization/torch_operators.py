"""ONNX operators in torch, for the networks that quantization-aware training runs.

Each takes the inputs of a node, None where one is left out, and the node's attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Inputs = list[Any]  # Any: tensors or None
Attributes = Mapping[str, Any]  # Any: ONNX attributes have many types


def round_straight_through(value: Tensor, low: float, high: float) -> Tensor:
    """Return whole numbers within bounds; the gradient passes where nothing was cut off."""
    bounded = value.clamp(low, high)
    return bounded + (bounded.round() - bounded).detach()


def _quantize(inputs: Inputs, _: Attributes) -> Tensor:
    value: Tensor
    value, scale, zero = inputs
    if value.dtype != torch.float32 or scale.dim():
        return value  # a weight, which the module rounds itself
    low, high = (0, 255) if zero.dtype == torch.uint8 else (-128, 127)
    return round_straight_through(value / scale + int(zero), low, high)


def _dequantize(inputs: Inputs, _: Attributes) -> Tensor:
    value: Tensor
    value, scale, zero = inputs
    return value if scale.dim() else (value - int(zero)) * scale


def _resize(inputs: Inputs, attributes: Attributes) -> Tensor:
    image = inputs[0]
    if len(inputs) > 3 and inputs[3] is not None:
        size = [int(side) for side in inputs[3][2:]]
    else:
        size = [round(side * float(scale)) for side, scale in zip(image.shape[2:], inputs[2][2:])]
    if attributes.get("mode", b"nearest") == b"nearest":
        return F.interpolate(image, size, mode="nearest")
    aligned = attributes.get("coordinate_transformation_mode", b"half_pixel") == b"align_corners"
    return F.interpolate(image, size, mode="bilinear", align_corners=aligned)


def _pool(kind: str) -> Callable[[Inputs, Attributes], Tensor]:
    def run(inputs: Inputs, attributes: Attributes) -> Tensor:
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        kernel, strides = list(attributes["kernel_shape"]), list(attributes.get("strides", (1, 1)))
        if kind == "max":
            return F.max_pool2d(
                F.pad(inputs[0], (left, right, top, bottom), value=-torch.inf), kernel, strides
            )
        padded = F.pad(inputs[0], (left, right, top, bottom))
        sums = F.avg_pool2d(padded, kernel, strides)
        if attributes.get("count_include_pad", 0) or not any((top, left, bottom, right)):
            return sums
        return sums / F.avg_pool2d(
            F.pad(torch.ones_like(inputs[0]), (left, right, top, bottom)), kernel, strides
        )

    return run


def _transposed_conv(inputs: Inputs, attributes: Attributes) -> Tensor:
    """Run a transposed convolution, which stays float.

    ONNX's pads are taken off its result at the top, left, bottom and right, torch's at both sides
    alike; the difference is cut off here, and `output_padding` added.
    """
    bias = inputs[2] if len(inputs) > 2 else None
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    below, beside = attributes.get("output_padding", (0, 0))
    whole = F.conv_transpose2d(
        inputs[0],
        inputs[1],
        bias,
        attributes.get("strides", (1, 1)),
        0,
        (below, beside),
        attributes.get("group", 1),
        attributes.get("dilations", (1, 1)),
    )
    return whole[:, :, top : whole.shape[2] - bottom, left : whole.shape[3] - right]


def _slice(inputs: Inputs, _: Attributes) -> Tensor:
    value, starts, ends = inputs[:3]
    axes = inputs[3].tolist() if len(inputs) > 3 and inputs[3] is not None else range(len(starts))
    steps = inputs[4].tolist() if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
    parts = [slice(None)] * value.dim()
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps):
        parts[axis] = slice(start, min(end, value.shape[axis]), step)
    return value[tuple(parts)]  # type: ignore[no-any-return]


# Any: a tensor, or a tuple of them
OPERATORS: dict[str, Callable[[Inputs, Attributes], Any]] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "AveragePool": _pool("average"),
    "Clip": lambda inputs, _: inputs[0].clamp(
        *(None if bound is None else float(bound) for bound in inputs[1:3])
    ),
    "Concat": lambda inputs, attributes: torch.cat(inputs, attributes["axis"]),
    "ConvTranspose": _transposed_conv,
    "DequantizeLinear": _dequantize,
    "GlobalAveragePool": lambda inputs, _: inputs[0].mean((2, 3), keepdim=True),
    "HardSigmoid": lambda inputs, attributes: (
        inputs[0] * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5)
    ).clamp(0, 1),
    "HardSwish": lambda inputs, _: F.hardswish(inputs[0]),
    "Identity": lambda inputs, _: inputs[0],
    "LeakyRelu": lambda inputs, attributes: F.leaky_relu(inputs[0], attributes.get("alpha", 0.01)),
    "MaxPool": _pool("max"),
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "QuantizeLinear": _quantize,
    "Relu": lambda inputs, _: inputs[0].relu(),
    "Reshape": lambda inputs, _: inputs[0].reshape(inputs[1].tolist()),
    "Resize": _resize,
    "Sigmoid": lambda inputs, _: inputs[0].sigmoid(),
    "Slice": _slice,
    "Split": lambda inputs, attributes: inputs[0].split(
        inputs[1].tolist(), attributes.get("axis", 0)
    ),
    "Transpose": lambda inputs, attributes: inputs[0].permute(*attributes["perm"]),
}
