"""A placed INT8 network as a torch module, so that its weights can be trained in front of the very
codes that ship.

Nodes are run as they stand in the graph. QuantizeLinear and DequantizeLinear round and saturate as
the engine will, and let gradients through where nothing saturates (the straight-through estimator
of Bengio et al., 2013). Weights are kept in steps of their codes, so one learning rate suits all
channels, whatever their size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, NodeProto, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.errors import ExportError
from edgeseg.export.graph.lowering import attributes_of
from edgeseg.export.graph.qdq_nodes import WEIGHT_STEPS, QuantizedConv

Values = dict[str, Tensor]


class TorchGraph(nn.Module):
    """Runs `normalized` (N, 3, H, W) to `logits` (N, C, h, w).

    Attributes:
        codes: the trained weights by number of the layer, in steps; rounded in `forward`.
        shifts: what is added to the biases, in steps of the weight.
    """

    def __init__(self, network: ModelProto, layers: Mapping[str, QuantizedConv]) -> None:
        """Build it.

        Args:
            network: from `place_qdq_cpu` or `place_qdq_tensorrt`.
            layers: the convolutions in integers that it holds.

        Raises:
            ExportError: it has a node that cannot be run here.
        """
        super().__init__()
        self._nodes = list(network.graph.node)
        self._constants = {
            tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
            for tensor in network.graph.initializer
        }
        unknown = sorted({node.op_type for node in self._nodes} - set(OPERATORS) - {"Conv"})
        if unknown:
            raise ExportError(
                f"--qat cannot run {', '.join(unknown)}; choose an arch of plain convolutions"
            )
        givers = {node.output[0]: node for node in self._nodes}
        self._input = network.graph.input[0].name
        self._layers = {
            node.name: layers[node.name]
            for node in self._nodes
            if node.op_type == "Conv" and node.input[1] in givers and node.name in layers
        }
        self.weights = nn.ParameterList(
            torch.from_numpy(one.weight_int8.astype(np.float32)) for one in self._layers.values()
        )
        self.bias_shifts = nn.ParameterList(
            torch.zeros(len(one.weight_int8)) for one in self._layers.values()
        )
        self._scales = [torch.from_numpy(one.scales.copy()) for one in self._layers.values()]
        self._biases = [torch.from_numpy(one.bias.copy()) for one in self._layers.values()]
        self._places = {name: place for place, name in enumerate(self._layers)}

    def forward(self, image: Tensor) -> Tensor:
        values: Values = {self._input: image, **self._constants}
        for node in self._nodes:
            if node.op_type == "Conv":
                values[node.output[0]] = self._convolve(node, values)
            else:
                given = [values[name] if name else None for name in node.input]
                attributes = attributes_of(node)
                made = OPERATORS[node.op_type](given, attributes)
                for name, value in zip(node.output, made if isinstance(made, tuple) else (made,)):
                    values[name] = value
        return values["logits"]

    def quantized_convs(self) -> dict[str, QuantizedConv]:
        """The convolutions as they are now."""
        found = {}
        for place, (name, layer) in enumerate(self._layers.items()):
            codes = _rounded(self.weights[place], WEIGHT_STEPS).detach().numpy().astype(np.int8)
            bias = layer.bias + self.bias_shifts[place].detach().numpy() * layer.scales
            found[name] = QuantizedConv(codes, layer.scales, bias.astype(np.float32))
        return found

    def _convolve(self, node: NodeProto, values: Values) -> Tensor:
        attributes = attributes_of(node)
        if node.name in self._places:
            place = self._places[node.name]
            scale = self._scales[place]
            weight = _rounded(self.weights[place], WEIGHT_STEPS) * scale[:, None, None, None]
            bias: Tensor | None = self._biases[place] + self.bias_shifts[place] * scale
        else:
            weight, bias = (
                values[node.input[1]],
                values[node.input[2]] if len(node.input) > 2 else None,
            )
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        image = F.pad(values[node.input[0]], (left, right, top, bottom))
        return F.conv2d(
            image,
            weight,
            bias,
            attributes.get("strides", 1),
            0,
            attributes.get("dilations", 1),
            attributes.get("group", 1),
        )


def _rounded(value: Tensor, most: float, least: float | None = None) -> Tensor:
    """Whole numbers within bounds; the gradient passes where nothing was cut off."""
    bounded = value.clamp(-most if least is None else least, most)
    return bounded + (bounded.round() - bounded).detach()


def _quantize(
    given: list[Any], _: Mapping[str, Any]
) -> Tensor:  # Any: tensors or None, ONNX attributes
    value: Tensor
    value, scale, zero = given
    if value.dtype != torch.float32 or scale.dim():
        return value  # a weight, which `TorchGraph` rounds itself
    low, high = (0, 255) if zero.dtype == torch.uint8 else (-128, 127)
    return _rounded(value / scale + int(zero), high, low)


def _dequantize(given: list[Any], _: Mapping[str, Any]) -> Tensor:  # Any: as `_quantize`
    value: Tensor
    value, scale, zero = given
    return value if scale.dim() else (value - int(zero)) * scale


def _resize(given: list[Any], attributes: Mapping[str, Any]) -> Tensor:  # Any: as `_quantize`
    image = given[0]
    if len(given) > 3 and given[3] is not None:
        size = [int(side) for side in given[3][2:]]
    else:
        size = [round(side * float(scale)) for side, scale in zip(image.shape[2:], given[2][2:])]
    if attributes.get("mode", b"nearest") == b"nearest":
        return F.interpolate(image, size, mode="nearest")
    aligned = attributes.get("coordinate_transformation_mode", b"half_pixel") == b"align_corners"
    return F.interpolate(image, size, mode="bilinear", align_corners=aligned)


def _pool(kind: str) -> Callable[[list[Any], Mapping[str, Any]], Tensor]:  # Any: as `_quantize`
    def run(given: list[Any], attributes: Mapping[str, Any]) -> Tensor:  # Any: as `_quantize`
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        kernel, strides = list(attributes["kernel_shape"]), list(attributes.get("strides", (1, 1)))
        if kind == "max":
            return F.max_pool2d(
                F.pad(given[0], (left, right, top, bottom), value=-torch.inf), kernel, strides
            )
        padded = F.pad(given[0], (left, right, top, bottom))
        sums = F.avg_pool2d(padded, kernel, strides)
        if attributes.get("count_include_pad", 0) or not any((top, left, bottom, right)):
            return sums
        return sums / F.avg_pool2d(
            F.pad(torch.ones_like(given[0]), (left, right, top, bottom)), kernel, strides
        )

    return run


def _slice(given: list[Any], _: Mapping[str, Any]) -> Tensor:  # Any: as `_quantize`
    value, starts, ends = given[:3]
    axes = given[3].tolist() if len(given) > 3 and given[3] is not None else range(len(starts))
    steps = given[4].tolist() if len(given) > 4 and given[4] is not None else [1] * len(starts)
    parts = [slice(None)] * value.dim()
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps):
        parts[axis] = slice(start, min(end, value.shape[axis]), step)
    return value[tuple(parts)]  # type: ignore[no-any-return]


OPERATORS: dict[str, Callable[[list[Any], Mapping[str, Any]], Any]] = {  # Any: as `_quantize`
    "Add": lambda given, _: given[0] + given[1],
    "AveragePool": _pool("average"),
    "Clip": lambda given, _: given[0].clamp(
        *(None if one is None else float(one) for one in given[1:3])
    ),
    "Concat": lambda given, attributes: torch.cat(given, attributes["axis"]),
    "DequantizeLinear": _dequantize,
    "GlobalAveragePool": lambda given, _: given[0].mean((2, 3), keepdim=True),
    "HardSigmoid": lambda given, attributes: (
        given[0] * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5)
    ).clamp(0, 1),
    "HardSwish": lambda given, _: F.hardswish(given[0]),
    "Identity": lambda given, _: given[0],
    "LeakyRelu": lambda given, attributes: F.leaky_relu(given[0], attributes.get("alpha", 0.01)),
    "MaxPool": _pool("max"),
    "Mul": lambda given, _: given[0] * given[1],
    "QuantizeLinear": _quantize,
    "Relu": lambda given, _: given[0].relu(),
    "Reshape": lambda given, _: given[0].reshape(given[1].tolist()),
    "Resize": _resize,
    "Sigmoid": lambda given, _: given[0].sigmoid(),
    "Slice": _slice,
    "Split": lambda given, attributes: given[0].split(given[1].tolist(), attributes.get("axis", 0)),
    "Transpose": lambda given, attributes: given[0].permute(*attributes["perm"]),
}
