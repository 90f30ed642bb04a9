"""A quantized network as a torch module, so that its weights can be trained behind the very Q/DQ
nodes that ship.

Nodes are run as they stand in the graph. QuantizeLinear and DequantizeLinear round and saturate as
the engine will, and let gradients through where nothing saturates (the straight-through estimator
of Bengio et al., 2013). Weights are kept in quantization steps, so one learning rate suits all
channels, whatever their size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from onnx import ModelProto, NodeProto
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.calibration.histogram import INT8_STEPS
from edgeseg.errors import ExportError
from edgeseg.export.graph.onnx_helpers import attributes_of, constants_of
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.quantization.torch_operators import OPERATORS, round_straight_through

Values = dict[str, Tensor]


class TorchGraph(nn.Module):
    """Runs `normalised` (N, 3, H, W) to `logits` (N, C, h, w).

    Attributes:
        weights: The trained weights, one for each quantized convolution, in steps; rounded in
            `forward`.
        bias_shifts: What is added to the biases, in steps of the weight.
    """

    def __init__(self, network: ModelProto, layers: Mapping[str, QuantizedConv]) -> None:
        """Build the module.

        Args:
            network: From `place_qdq_cpu` or `place_qdq_tensorrt`, or a float network.
            layers: The convolutions in integers that it holds.

        Raises:
            ExportError: It has a node that cannot be run here.
        """
        super().__init__()
        self._nodes = list(network.graph.node)
        self._constants = {
            name: torch.from_numpy(value.copy()) for name, value in constants_of(network).items()
        }
        unknown = sorted({node.op_type for node in self._nodes} - set(OPERATORS) - {"Conv"})
        if unknown:
            raise ExportError(
                f"--qat cannot run {', '.join(unknown)}; choose an arch of plain convolutions"
            )
        self._input = network.graph.input[0].name
        made_by_nodes = {node.output[0] for node in self._nodes}
        self._layers = {
            node.name: layers[node.name]
            for node in self._nodes
            if node.op_type == "Conv" and node.input[1] in made_by_nodes and node.name in layers
        }
        quantized = list(self._layers.values())
        self.weights = nn.ParameterList(
            torch.from_numpy(layer.weight_int8.astype(np.float32)) for layer in quantized
        )
        self.bias_shifts = nn.ParameterList(
            torch.zeros(len(layer.weight_int8)) for layer in quantized
        )
        self._scales = [torch.from_numpy(layer.scales.copy()) for layer in quantized]
        self._biases = [torch.from_numpy(layer.bias.copy()) for layer in quantized]
        self._places = {name: place for place, name in enumerate(self._layers)}

    def forward(self, image: Tensor) -> Tensor:
        values: Values = {self._input: image, **self._constants}
        for node in self._nodes:
            if node.op_type == "Conv":
                values[node.output[0]] = self._convolve(node, values)
            else:
                inputs = [values[name] if name else None for name in node.input]
                result = OPERATORS[node.op_type](inputs, attributes_of(node))
                outputs = result if isinstance(result, tuple) else (result,)
                for name, value in zip(node.output, outputs):
                    values[name] = value
        return values["logits"]

    def quantized_convs(self) -> dict[str, QuantizedConv]:
        """Return the convolutions as they are now."""
        convs = {}
        for place, (name, layer) in enumerate(self._layers.items()):
            weight = round_straight_through(self.weights[place], -INT8_STEPS, INT8_STEPS)
            bias = layer.bias + self.bias_shifts[place].detach().numpy() * layer.scales
            convs[name] = QuantizedConv(
                weight.detach().numpy().astype(np.int8), layer.scales, bias.astype(np.float32)
            )
        return convs

    def _convolve(self, node: NodeProto, values: Values) -> Tensor:
        weight, bias = self._weight_and_bias(node, values)
        attributes = attributes_of(node)
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

    def _weight_and_bias(self, node: NodeProto, values: Values) -> tuple[Tensor, Tensor | None]:
        """Return the trained parameters of a quantized convolution, the graph's of another."""
        if node.name not in self._places:
            bias = values[node.input[2]] if len(node.input) > 2 else None
            return values[node.input[1]], bias
        place = self._places[node.name]
        scale = self._scales[place]
        integers = round_straight_through(self.weights[place], -INT8_STEPS, INT8_STEPS)
        weight = integers * scale[:, None, None, None]
        return weight, self._biases[place] + self.bias_shifts[place] * scale
