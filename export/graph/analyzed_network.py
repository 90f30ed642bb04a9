"""A network together with all that quantization asks about it, each found once."""

from __future__ import annotations

from functools import cached_property

from onnx import ModelProto, NodeProto, TensorProto

from edgeseg.export.graph.onnx_helpers import Constants, Shapes, infer_shapes, stated_shapes
from edgeseg.export.graph.topology import GraphTopology


class AnalyzedNetwork:
    """A network with its topology and shapes, which are computed on first use and kept.

    Passes that change a network return a new one. `model`, and all that is found here, must never
    be changed in place.

    Attributes:
        model: The network, from `normalised` to `logits`.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = model

    @cached_property
    def topology(self) -> GraphTopology:
        """The producers and consumers of all tensors."""
        return GraphTopology(self.model)

    @cached_property
    def inferred(self) -> ModelProto:
        """The network with the type and shape of every tensor."""
        return infer_shapes(self.model)

    @cached_property
    def shapes(self) -> Shapes:
        """The static shapes, by tensor."""
        return stated_shapes(self.inferred)

    @cached_property
    def absorbed(self) -> dict[str, str]:
        """The tensors that a fused activation absorbs; see `GraphTopology.absorbed_tensors`."""
        return self.topology.absorbed_tensors()

    @cached_property
    def quantizable_convs(self) -> dict[str, NodeProto]:
        """The convolutions that may be computed in integers, by node name: constant weights."""
        constants = {tensor.name for tensor in self.model.graph.initializer}
        return {
            node.name: node
            for node in self.model.graph.node
            if node.op_type == "Conv" and node.input[1] in constants
        }

    @cached_property
    def quantizable_tensors(self) -> list[str]:
        """The tensors that may be quantized: the input and what nodes give, if not absorbed."""
        graph = self.inferred.graph
        floats = {
            value.name
            for value in (*graph.input, *graph.value_info, *graph.output)
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        made = [
            name
            for node in self.model.graph.node
            for name in node.output
            if name in floats and name not in self.absorbed
        ]
        return [self.input_name, *made]

    @property
    def constants(self) -> Constants:
        """The initializers, by name."""
        return self.topology.constants

    @property
    def input_name(self) -> str:
        """The name of the network's only input."""
        return str(self.model.graph.input[0].name)

    @property
    def output_name(self) -> str:
        """The name of the network's only output."""
        return str(self.model.graph.output[0].name)
