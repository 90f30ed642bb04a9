"""Layer normalization, written out for TensorRT 8.5, whose parser does not know it as one operator.

Later versions and their fusions know the pattern, as every exporter below opset 17 wrote it.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, helper

from edgeseg.export.graph.onnx_helpers import (
    Constants,
    Shapes,
    assemble,
    attributes_of,
    constants_of,
)

OPERATOR = "LayerNormalization"
DEFAULT_EPSILON = 1e-5  # of ONNX


def write_out_layer_norms(model: ModelProto, shapes: Shapes) -> ModelProto:
    """Return a model that computes the same without LayerNormalization.

    Args:
        shapes: Those of the tensors, by name; of the normalized ones at least.
    """
    if not any(node.op_type == OPERATOR for node in model.graph.node):
        return model
    constants, nodes = constants_of(model), []
    for node in model.graph.node:
        if node.op_type == OPERATOR and not any(node.output[1:]):
            nodes += _written_out(node, len(shapes[node.output[0]]), constants)
        else:
            nodes.append(node)
    return assemble(model, nodes, constants)


def _written_out(node: NodeProto, rank: int, constants: Constants) -> list[NodeProto]:
    """Return the steps; the numbers that they need are added to `constants`."""
    attributes, (source, scale, *bias), output = attributes_of(node), node.input, node.output[0]
    axes = list(range(int(attributes.get("axis", -1)) % rank, rank))
    two, epsilon = f"{node.name}.two", f"{node.name}.epsilon"
    constants[two] = np.array(2, np.float32)
    constants[epsilon] = np.array(attributes.get("epsilon", DEFAULT_EPSILON), np.float32)
    mean, centered, squares, variance, raised, deviation, normalized, scaled = (
        f"{node.name}.{part}"
        for part in (
            *("mean", "centered", "squares", "variance", "raised", "deviation", "normalized"),
            "scaled",
        )
    )
    steps = [
        ("ReduceMean", [source], mean),
        ("Sub", [source, mean], centered),
        ("Pow", [centered, two], squares),
        ("ReduceMean", [squares], variance),
        ("Add", [variance, epsilon], raised),
        ("Sqrt", [raised], deviation),
        ("Div", [centered, deviation], normalized),
        ("Mul", [normalized, scale], scaled),
    ]
    if any(bias):
        steps.append(("Add", [scaled, bias[0]], output))
    nodes = []
    for operator, inputs, given in steps:
        step = helper.make_node(operator, inputs, [given], given)
        if operator == "ReduceMean":
            step.attribute.append(helper.make_attribute("axes", axes))
            step.attribute.append(helper.make_attribute("keepdims", 1))
        nodes.append(step)
    nodes[-1].output[0] = output
    return nodes
