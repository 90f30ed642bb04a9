"""Integer weights and biases, and the Q/DQ nodes that stand for 8-bit codes: what both INT8
flavours are made of.

All codes are symmetric about 0, so that the same range serves a signed flavour without zero points
and an unsigned one whose zero point is 0 or 128. Weights have one scale per output channel: one per
tensor costs MobileNets tens of mIoU points and wins no speed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.export.graph.lowering import Constants

MIN_RANGE = 1e-6  # range of a tensor that is always zero; a scale must be above 0
WEIGHT_STEPS = 127
MAX_BIAS = 2**30  # half of what 32 bits hold; the other half is for the products
ABSORBED = frozenset(
    {"Clip", "Relu"}
)  # vanish behind a layer whose codes begin and end where they do
Ranges = Mapping[str, tuple[float, float]]


class GraphTopology:
    """Who gives and who takes each tensor of a network.

    Attributes:
        constants: by name.
        givers: the node that makes a tensor; inputs of the network have none.
        takers: the nodes that read a tensor.
        outputs: of the network.
    """

    def __init__(self, network: ModelProto) -> None:
        self.nodes = list(network.graph.node)
        self.constants: Constants = {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in network.graph.initializer
            if tensor.data_location
            != TensorProto.EXTERNAL  # a file to be checked may say so; ours never do
        }
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                if name:
                    self.consumers[name].append(node)
        self.outputs = {value.name for value in network.graph.output}

    def absorbed_tensors(self) -> dict[str, str]:
        """Tensors that need no codes of their own, each with what the activation behind it makes of
        it.
        """
        found = {}
        for node in self.nodes:
            before = node.input[0] if node.input else ""
            alone = (
                before in self.producers
                and before not in self.outputs
                and len(self.consumers[before]) == 1
            )
            if node.op_type in ABSORBED and alone and self.clips_at_zero(node):
                found[before] = node.output[0]
        return found

    def clips_at_zero(self, node: NodeProto) -> bool:
        """Whether a Clip or Relu cuts off just what is negative, beside what is large."""
        if node.op_type == "Relu":
            return True
        least = self.constants.get(node.input[1]) if len(node.input) > 1 else None
        return least is not None and float(least.reshape(-1)[0]) == 0.0

    def is_sole_output(self, name: str, layers: Collection[str]) -> bool:
        """Whether the tensor is what one of the layers gives, and nobody else reads it."""
        giver = self.producers.get(name)
        return giver is not None and giver.name in layers and len(self.consumers[name]) == 1

    def follows(self, name: str, layers: Collection[str]) -> bool:
        """Whether the tensor comes from one of the layers, with activations between at most."""
        giver = self.producers.get(name)
        while giver is not None and giver.op_type in ABSORBED:
            giver = self.producers.get(giver.input[0])
        return giver is not None and giver.name in layers

    def ancestors(self, name: str) -> dict[str, int]:
        """The tensors that this one is made from, itself included, each with the number of nodes
        between.
        """
        found, edge = {name: 0}, [name]
        while edge:
            here = edge.pop(0)
            giver = self.producers.get(here)
            for before in self.data_inputs(giver) if giver is not None else ():
                if before not in found:
                    found[before] = found[here] + 1
                    edge.append(before)
        return found

    def branch_depth(self, name: str, node: NodeProto) -> int:
        """How many nodes lie between the tensor and what it has in common with the other inputs of
        `node`.
        """
        mine = self.ancestors(name)
        others = [self.ancestors(other) for other in self.data_inputs(node) if other != name]
        return min(
            (depth for one, depth in mine.items() if any(one in other for other in others)),
            default=len(mine),
        )

    def data_inputs(self, node: NodeProto) -> list[str]:
        """The inputs of a node that are no constants."""
        return [name for name in node.input if name and name not in self.constants]


@dataclass(frozen=True)
class QuantizedConv:
    """A convolution in integers.

    Attributes:
        codes: (O, I / groups, kh, kw) int8.
        scales: (O,) the step between the codes of an output channel.
        bias: (O,).
    """

    weight_int8: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def dequantized_weight(self) -> NDArray[np.float32]:
        """What the codes stand for."""
        return np.asarray(self.weight_int8 * self.scales[:, None, None, None], np.float32)


Parts = tuple[
    ModelProto, Ranges, Mapping[str, QuantizedConv]
]  # a float network, ranges of its tensors, its layers


class GraphBuilder:
    """Nodes and constants of a graph under construction."""

    def __init__(self, constants: Constants) -> None:
        self.nodes: list[NodeProto] = []
        self.constants = dict(constants)

    def insert_qdq(
        self, source: str, name: str, given: str, scale: float, zero: Any
    ) -> None:  # Any: a numpy integer
        """Turn the tensor `source` into codes and back into `given`; `name` is what the nodes are
        called after.
        """
        self.constants[f"{name}.scale"] = np.array(scale, np.float32)
        self.constants[f"{name}.zero"] = np.array(zero)
        parameters = [f"{name}.scale", f"{name}.zero"]
        self.nodes.append(
            helper.make_node(
                "QuantizeLinear", [source, *parameters], [f"{name}.codes"], f"{name}.q"
            )
        )
        self.nodes.append(
            helper.make_node(
                "DequantizeLinear", [f"{name}.codes", *parameters], [given], f"{name}.dq"
            )
        )


def quantizable_convs(network: ModelProto) -> dict[str, NodeProto]:
    """The convolutions that may be computed in integers, by name: those whose weights are
    constants.
    """
    constants = {tensor.name for tensor in network.graph.initializer}
    return {
        node.name: node
        for node in network.graph.node
        if node.op_type == "Conv" and node.input[1] in constants
    }


def weight_scales(
    weight: NDArray[np.float32], bias: NDArray[np.float32], step: float
) -> NDArray[np.float32]:
    """(O,) the step between the codes of each output channel of an (O, ...) weight.

    It is wider than the weight needs where the channel's bias would not fit into 32 bits. Such a
    channel has next to no
    weight: it is a constant, and coarse weights cost it nothing.

    Args:
        bias: (O,).
        step: between the codes of the layer's input.
    """
    most = np.abs(weight.reshape(len(weight), -1)).max(1)
    scales = np.maximum(
        np.maximum(most, MIN_RANGE) / WEIGHT_STEPS, np.abs(bias) / (MAX_BIAS * step)
    )
    return np.asarray(scales, np.float32)
