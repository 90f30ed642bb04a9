"""The interface and the frames that INT8 graphs are tested with, and plans for Q/DQ placement."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.pre_post_processing import Interface
from edgeseg.export.graph.qdq_nodes import QuantizationPlan, QuantizedConv, Ranges
from edgeseg.export.onnxruntime_cpu.normalization_folding import UNIT_STD
from edgeseg.models import MEAN, STD
from tests.helpers.exporting import HEIGHT, WIDTH, picture

PLAIN = Interface(height=HEIGHT, width=WIDTH, classes=3, mean=MEAN, std=STD)
INTERFACE = replace(PLAIN, std=UNIT_STD)  # once `fold_std` has divided the weights by it
FLAVOURS: tuple[Int8Flavour, ...] = ("int8-cpu", "int8-trt")
IMAGES = [picture(seed)[0] for seed in range(6)]


def plan_of(
    model: ModelProto,
    ranges: Ranges,
    layers: Mapping[str, QuantizedConv] | None = None,
    float_tensors: Collection[str] = (),
) -> QuantizationPlan:
    """Return a plan for a network."""
    return QuantizationPlan(AnalyzedNetwork(model), ranges, layers or {}, float_tensors)


def make_odd_network(*middle: NodeProto) -> ModelProto:
    """A convolution, its ReLU "b", odd nodes that give "d" of "b", and a convolution."""
    random = np.random.default_rng(1)
    nodes = [
        helper.make_node("Conv", ["normalised", "w0"], ["a"], "one"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        *middle,
        helper.make_node("Conv", ["d", "w1"], ["logits"], "two"),
    ]
    sizes = ((4, 4, 1, 1), (4, 4, 1, 1), (1, 4, 1, 1))
    weights = [random.normal(0, 0.3, size).astype(np.float32) for size in sizes]
    images = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8])
        for name in ("normalised", "logits")
    ]
    graph = helper.make_graph(
        nodes,
        "odd",
        images[:1],
        images[1:],
        [numpy_helper.from_array(value, f"w{place}") for place, value in enumerate(weights)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


ODD_NODES = {
    "a channel that is added to all others": [
        helper.make_node("Conv", ["b", "w2"], ["m"], "mean"),
        helper.make_node("Add", ["b", "m"], ["d"], "add"),
    ],
    "a tensor whose sides nobody tells": [
        helper.make_node("Shape", ["b"], ["s"], "shape"),
        helper.make_node("ReduceMax", ["s"], ["most"], "most", keepdims=1),
        helper.make_node("Mul", ["s", "most"], ["long"], "long"),
        helper.make_node("Div", ["long", "most"], ["again"], "again"),
        helper.make_node("Reshape", ["b", "again"], ["c"], "reshape"),
        helper.make_node("Relu", ["c"], ["d"], "relu again"),
    ],
}
