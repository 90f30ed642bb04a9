"""The FP16 file: the network in half precision, its pre- and post-processing in float.

TensorRT 11 takes the precision from the graph instead of from a flag, so a file has to say it. On a
CPU it is slower than FP32 and only checked.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from edgeseg.export.graph.onnx_helpers import Constants, assemble, constants_of, copy_node
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network

FLOAT_INPUTS = {"Resize": (1, 2)}  # scales and region stay float32, ONNX allows nothing else
MAX_FP16 = float(np.finfo(np.float16).max)


def to_fp16(network: ModelProto, interface: Interface) -> ModelProto:
    """Return the whole graph with casts to and from float16 around its network."""
    renamed = {"normalised": "normalised.half", "logits": "logits.half"}
    to_half = helper.make_node(
        "Cast", ["normalised"], ["normalised.half"], "cast_to_half", to=TensorProto.FLOAT16
    )
    to_float = helper.make_node(
        "Cast", ["logits.half"], ["logits"], "cast_from_half", to=TensorProto.FLOAT
    )
    inner = []
    for node in network.graph.node:
        copy = copy_node(node)
        copy.input[:] = [renamed.get(name, name) for name in node.input]
        copy.output[:] = [renamed.get(name, name) for name in node.output]
        if copy.op_type == "Cast":
            _cast_to_half(copy)
        inner.append(copy)
    half = assemble(network, [to_half, *inner, to_float], _half_constants(network))
    return wrap_network(half, interface)


def _half_constants(network: ModelProto) -> Constants:
    """Return the constants with floats as float16, saturated; those ONNX wants in float stay."""
    stay_float = {
        node.input[place]
        for node in network.graph.node
        for place in FLOAT_INPUTS.get(node.op_type, ())
        if place < len(node.input)
    }
    constants = constants_of(network)
    for name, value in constants.items():
        if value.dtype == np.float32 and name not in stay_float:
            constants[name] = np.clip(value, -MAX_FP16, MAX_FP16).astype(np.float16)
    return constants


def _cast_to_half(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
