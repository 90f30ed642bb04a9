"""Names of nodes and tensors that last: they follow from the network, not from torch's version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from onnx import ModelProto, NodeProto

from edgeseg.export.graph.onnx_helpers import strip_metadata

WEIGHTED_INPUTS = ("input", "weight", "bias")
INPUT_ROLES = {  # what the inputs of these operators are called
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), WEIGHTED_INPUTS),
    "Clip": ("input", "min", "max"),
    "Resize": ("input", "roi", "scales", "sizes"),
}


def canonicalize_names(model: ModelProto) -> ModelProto:
    """Return a copy of `model` whose names follow from its structure and its weights.

    A layer is called as its weight, `encoder.model.conv_stem`; other nodes by kind and place,
    `add_3`; tensors as the node that makes them, `add_3.out`, or as the one that reads them,
    `clip_0.max`. Inputs and outputs of the model keep their names.
    """
    model = strip_metadata(model)
    graph = model.graph
    fixed = {value.name for value in (*graph.input, *graph.output)}
    constants = {tensor.name for tensor in graph.initializer}
    names = {name: name for name in fixed} | {"": ""}
    used: Counter[str] = Counter()
    for node in graph.node:
        node.name = _node_name(node, constants, used)
        for place, name in enumerate(node.input):
            if name in constants and name not in names:
                names[name] = f"{node.name}.{_input_role(node, place)}"
        for place, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}.out{place or ''}")
    for node in graph.node:
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    return model


def _node_name(node: NodeProto, constants: Collection[str], used: Counter[str]) -> str:
    """Return a name that no node had so far, and count it."""
    weight = node.input[1] if node.op_type in INPUT_ROLES and len(node.input) > 1 else ""
    if weight in constants and weight.endswith(".weight"):
        layer = weight.removeprefix("network.").removesuffix(".weight")
        used[layer] += 1
        # one weight may serve several nodes
        return layer if used[layer] == 1 else f"{layer}_{used[layer]}"
    kind = node.op_type.lower()
    used[kind] += 1
    return f"{kind}_{used[kind] - 1}"


def _input_role(node: NodeProto, place: int) -> str:
    roles = INPUT_ROLES.get(node.op_type, ())
    return roles[place] if place < len(roles) else f"input{place}"
