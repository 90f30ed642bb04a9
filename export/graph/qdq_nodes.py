"""The building blocks of both INT8 flavours: integer weights, ranges, and Q/DQ nodes.

A QuantizeLinear and a DequantizeLinear in a row (Q/DQ) mark a tensor as 8-bit integers. All
integers are symmetric about 0, so that the same range serves a signed flavour without zero points
and an unsigned one whose zero point is 0 or 128. Weights have one scale per output channel: one per
tensor costs MobileNets tens of mIoU points and wins no speed.

Where the nodes go is decided per target: `onnxruntime_cpu/qdq_placement.py`,
`tensorrt/qdq_placement.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from edgeseg.calibration.histogram import INT8_STEPS
from edgeseg.calibration.weight_pairs import MAX_PAIR, Pairing, largest_pairs
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.onnx_helpers import Constants

MIN_RANGE = 1e-6  # range of a tensor that is always zero; a scale must be above 0
MAX_BIAS = 2**30  # half of what 32 bits hold; the other half is for the products
Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class QuantizedConv:
    """A convolution in integers.

    Attributes:
        weight_int8: (O, I / groups, kh, kw) int8.
        scales: (O,) the step between the integers of an output channel.
        bias: (O,) in float.
    """

    weight_int8: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def dequantized_weight(self) -> NDArray[np.float32]:
        """The weight that the integers stand for, as floats."""
        return np.asarray(self.weight_int8 * self.scales[:, None, None, None], np.float32)


@dataclass(frozen=True)
class QuantizationPlan:
    """All that Q/DQ placement needs to know of a network.

    Attributes:
        network: In float.
        ranges: (low, high) of each tensor that may be quantized.
        layers: Its convolutions in integers, by node.
        float_tensors: Tensors that stay float all the same.
    """

    network: AnalyzedNetwork
    ranges: Ranges
    layers: Mapping[str, QuantizedConv]
    float_tensors: Collection[str] = ()

    def is_quantized(self, *names: str) -> bool:
        """Return True if all of these tensors have a range and none stays float."""
        return all(name in self.ranges and name not in self.float_tensors for name in names)


class GraphBuilder:
    """Nodes and constants of a graph under construction."""

    def __init__(self, constants: Constants) -> None:
        self.nodes: list[NodeProto] = []
        self.constants = dict(constants)

    def insert_qdq(
        self, source: str, name: str, given: str, scale: float, zero: Any
    ) -> None:  # Any: a numpy integer
        """Quantize the tensor `source` and dequantize it into the tensor `given`.

        Args:
            name: What the new nodes and constants are called after.
        """
        self.constants[f"{name}.scale"] = np.array(scale, np.float32)
        self.constants[f"{name}.zero"] = np.array(zero)
        parameters = [f"{name}.scale", f"{name}.zero"]
        integers = f"{name}.codes"
        self.nodes += [
            helper.make_node("QuantizeLinear", [source, *parameters], [integers], f"{name}.q"),
            helper.make_node("DequantizeLinear", [integers, *parameters], [given], f"{name}.dq"),
        ]


def weight_scales(
    weight: NDArray[np.float32], bias: NDArray[np.float32], input_step: float, ways: list[Pairing]
) -> NDArray[np.float32]:
    """Return the (O,) steps between the integers of each output channel of an (O, ...) weight.

    A step is wider than the weight needs where the channel's bias would not fit into 32 bits. Such
    a channel has next to no weight: it is a constant, and coarse weights cost it nothing. It is
    also wider where two weights would overflow together.

    Args:
        bias: (O,).
        input_step: The step between the integers of the layer's input.
        ways: The layer's pairs, from `edgeseg.calibration.weight_pairs`.
    """
    magnitudes = np.abs(weight.reshape(len(weight), -1)).max(1)
    for_weight = np.maximum(magnitudes, MIN_RANGE) / INT8_STEPS
    for_bias = np.abs(bias) / (MAX_BIAS * input_step)
    for_pairs = largest_pairs(weight, ways) / MAX_PAIR
    return np.asarray(np.max([for_weight, for_bias, for_pairs], axis=0), np.float32)
