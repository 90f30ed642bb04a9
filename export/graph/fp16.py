"""The FP16 file: the network in half precision, everything around it in float.

TensorRT 11 takes the precision from the graph instead of from a flag, so a file has to say it. On a
CPU it is slower than FP32 and only checked.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.export.graph.lowering import Constants, assemble
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network

FLOAT_INPUTS = {"Resize": (1, 2)}  # scales and region stay float32, ONNX allows nothing else
LARGEST = float(np.finfo(np.float16).max)


def to_fp16(network: ModelProto, interface: Interface) -> ModelProto:
    """The whole graph with casts to and from float16 around its network."""
    keep = {
        node.input[place]
        for node in network.graph.node
        for place in FLOAT_INPUTS.get(node.op_type, ())
        if place < len(node.input)
    }
    constants: Constants = {}
    for tensor in network.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and tensor.name not in keep:
            value = np.clip(value, -LARGEST, LARGEST).astype(np.float16)
        constants[tensor.name] = value
    rename = {"normalised": "normalised.half", "logits": "logits.half"}
    nodes = [
        helper.make_node(
            "Cast", ["normalised"], ["normalised.half"], "cast_to_half", to=TensorProto.FLOAT16
        )
    ]
    for node in network.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [rename.get(name, name) for name in node.input]
        copy.output[:] = [rename.get(name, name) for name in node.output]
        if copy.op_type == "Cast":
            _halve_cast(copy)
        nodes.append(copy)
    nodes.append(
        helper.make_node(
            "Cast", ["logits.half"], ["logits"], "cast_from_half", to=TensorProto.FLOAT
        )
    )
    return wrap_network(assemble(network, nodes, constants), interface)


def _halve_cast(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
