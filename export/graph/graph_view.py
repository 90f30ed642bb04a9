"""A finished graph, as the checks of a file look at it, whoever made the file."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto

from edgeseg.errors import ExportError
from edgeseg.export.graph.onnx_helpers import attributes_of
from edgeseg.export.graph.topology import GraphTopology

Q, DQ = "QuantizeLinear", "DequantizeLinear"
CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1}  # of the output channels in a weight


class GraphView:
    """A graph with all that the checks ask of it; what is damaged is left out.

    Attributes:
        model: The file.
        nodes: The nodes in their order.
        constants: The initializers by name.
        producers: The node that makes a tensor, by its name.
        consumers: The nodes that read a tensor, by its name.
        inputs: The names of the graph's inputs.
        outputs: The names of its outputs.
        values: Type and shape by tensor, as far as they can be inferred.
        metadata: The entries of the file's metadata.
    """

    def __init__(self, data: bytes) -> None:
        """Take a file.

        Raises:
            ExportError: It is no ONNX file, or a weight in it has more or fewer bytes than values.
        """
        try:
            self.model = onnx.load_model_from_string(data)
        except DecodeError:
            raise ExportError(
                "the file is no ONNX file; export the bundle again with `edgeseg export`"
            ) from None
        try:
            graph, topology = self.model.graph, GraphTopology(self.model)
        except (ValueError, TypeError) as error:
            what = " ".join(str(error).split())[:200]
            raise ExportError(
                f"a weight of the file is damaged ({what}); export the bundle again with "
                "`edgeseg export`"
            ) from None
        self.nodes, self.constants = topology.nodes, topology.constants
        self.producers, self.consumers = topology.producers, topology.consumers
        self.data_inputs = topology.data_inputs
        self.inputs = [value.name for value in graph.input]
        self.outputs = [value.name for value in graph.output]
        self.values = {value.name: value for value in _inferred_values(self.model)}
        self.metadata = {entry.key: entry.value for entry in self.model.metadata_props}

    def producer_type(self, name: str) -> str:
        """Return the operator that makes a tensor; empty for constants and inputs."""
        producer = self.producers.get(name)
        return producer.op_type if producer is not None else ""

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the sides of a tensor, 0 where one is not fixed; empty if nothing is known."""
        value = self.values.get(name)
        if value is None:
            return ()
        return tuple(side.dim_value for side in value.type.tensor_type.shape.dim)

    def element_type(self, name: str) -> int:
        """Return ONNX's number of a tensor's element type, 0 where it is not known."""
        value = self.values.get(name)
        return value.type.tensor_type.elem_type if value is not None else 0

    def convolutions(self) -> list[NodeProto]:
        """Return the convolutions, transposed ones among them."""
        return [node for node in self.nodes if node.op_type in CHANNEL_AXIS]

    def is_quantized(self, convolution: NodeProto) -> bool:
        """Return whether a convolution is meant to run in integers: its weight has Q/DQ nodes."""
        return len(convolution.input) > 1 and self.producer_type(convolution.input[1]) == DQ

    def qdq_pair(self, name: str) -> tuple[NodeProto, NodeProto] | None:
        """Return the Q and the DQ node that a tensor comes out of, None if there is no pair."""
        dequantize = self.producers.get(name)
        if dequantize is None or dequantize.op_type != DQ:
            return None
        quantize = self.producers.get(dequantize.input[0])
        if quantize is None or quantize.op_type != Q:
            return None
        return quantize, dequantize

    def listed_names(self, key: str) -> list[str] | None:
        """Return a list of names from the metadata; None if there is no such list."""
        try:
            names = json.loads(self.metadata.get(key, ""))
        except ValueError:
            return None
        is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
        return names if is_list else None


def _inferred_values(model: ModelProto) -> list[onnx.ValueInfoProto]:
    with suppress(onnx.shape_inference.InferenceError):  # point 1 of the checklist reports it
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return [*model.graph.value_info, *model.graph.input, *model.graph.output]


def describe_node(node: NodeProto) -> str:
    """Return what a sentence calls a node."""
    return f"{node.op_type} {node.name or node.output[0]}"


def attribute_value(node: NodeProto, name: str, default: Any) -> Any:  # Any: of many types
    """Return the value of an attribute."""
    return attributes_of(node).get(name, default)
