"""The topology of a network: which node produces a tensor and which nodes consume it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from edgeseg.export.graph.onnx_helpers import Constants

# activations that engines fuse into the layer in front of them
FUSED_ACTIVATIONS = frozenset({"Clip", "Relu"})


class GraphTopology:
    """Producers and consumers of the tensors of a network.

    Attributes:
        nodes: All nodes, in their order.
        constants: Initializers by name; those in external files are left out, which a file to be
            checked may have and ours never do.
        producers: The node that makes a tensor; inputs of the network have none.
        consumers: The nodes that read a tensor.
        outputs: The names of the network's outputs.
    """

    def __init__(self, network: ModelProto) -> None:
        self.nodes = list(network.graph.node)
        self.constants: Constants = {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in network.graph.initializer
            if tensor.data_location != TensorProto.EXTERNAL
        }
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                if name:
                    self.consumers[name].append(node)
        self.outputs = {value.name for value in network.graph.output}

    def data_inputs(self, node: NodeProto) -> list[str]:
        """Return the inputs of a node that are no constants."""
        return [name for name in node.input if name and name not in self.constants]

    def absorbed_tensors(self) -> dict[str, str]:
        """Return the tensors that exist in no engine, each with the output of its activation.

        They are made by a node and read by a single fused activation, so what is quantized is the
        activation's output: for Conv -> "conv.out" -> Relu -> "relu.out" it is
        {"conv.out": "relu.out"}.
        """
        absorbed = {}
        for node in self.nodes:
            source = node.input[0] if node.input else ""
            read_once = (
                source in self.producers
                and source not in self.outputs
                and len(self.consumers[source]) == 1
            )
            if node.op_type in FUSED_ACTIVATIONS and read_once and self.clips_at_zero(node):
                absorbed[source] = node.output[0]
        return absorbed

    def clips_at_zero(self, node: NodeProto) -> bool:
        """Return True for a Relu, and for a Clip whose lower bound is 0."""
        if node.op_type == "Relu":
            return True
        lower_bound = self.constants.get(node.input[1]) if len(node.input) > 1 else None
        return lower_bound is not None and float(lower_bound.reshape(-1)[0]) == 0.0

    def is_sole_output(self, name: str, layers: Collection[str]) -> bool:
        """Return True if one of the layers makes the tensor and a single node reads it."""
        producer = self.producers.get(name)
        return producer is not None and producer.name in layers and len(self.consumers[name]) == 1

    def follows(self, name: str, layers: Collection[str]) -> bool:
        """Return True if the tensor comes from one of the layers, past activations at most."""
        producer = self.producers.get(name)
        while producer is not None and producer.op_type in FUSED_ACTIVATIONS:
            producer = self.producers.get(producer.input[0])
        return producer is not None and producer.name in layers

    def ancestors(self, name: str) -> dict[str, int]:
        """Return the tensors that this one is made from, each with its distance in nodes.

        The tensor itself is among them, at distance 0.
        """
        distance, queue = {name: 0}, [name]
        while queue:
            current = queue.pop(0)
            producer = self.producers.get(current)
            for source in self.data_inputs(producer) if producer is not None else ():
                if source not in distance:
                    distance[source] = distance[current] + 1
                    queue.append(source)
        return distance

    def branch_depth(self, name: str, node: NodeProto) -> int:
        """Return the number of nodes between an input of `node` and the branching point.

        That is the nearest tensor from which another input of `node` comes too. In a residual block
        x -> Conv -> Relu -> Conv -> Add(x) the depth is 3 for the convolutions' branch and 0 for x.
        """
        own = self.ancestors(name)
        others = [self.ancestors(other) for other in self.data_inputs(node) if other != name]
        shared = (
            depth for tensor, depth in own.items() if any(tensor in other for other in others)
        )
        return min(shared, default=len(own))
