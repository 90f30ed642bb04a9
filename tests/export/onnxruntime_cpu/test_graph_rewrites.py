"""Rewrites for ONNX Runtime give the same integers as the network that they rewrite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.onnxruntime_cpu.graph_rewrites import (
    pad_output_channels,
    pools_to_convs,
    resizes_to_concats,
    rewrite_for_cpu,
)
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from tests.helpers.quantization import plan_of

RANGES = {"normalised": (-2.0, 2.0), "logits": (-2.0, 2.0)}


def pool(sides: list[int], **attributes: Any) -> ModelProto:  # Any: what ONNX knows as an attribute
    node = helper.make_node(
        "AveragePool", ["normalised"], ["logits"], "pool", kernel_shape=sides, **attributes
    )
    given = helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [2, 16, 9, 12])
    shell = helper.make_graph(
        [node], "small", [given], [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)]
    )
    (found,) = ReferenceEvaluator(model_of(shell)).run(
        None, {"normalised": np.zeros((2, 16, 9, 12), np.float32)}
    )
    ends = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, np.shape(found))]
    return model_of(helper.make_graph([node], "small", [given], ends))


def model_of(graph: Any) -> ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    "model",
    [
        pool([2, 2], strides=[2, 2]),
        pool([3, 3], strides=[2, 1], pads=[1, 1, 1, 1], count_include_pad=1),
        pool([3, 2], pads=[0, 0, 0, 0]),
    ],
)
def test_the_same_codes_come_out(model: ModelProto) -> None:
    rewritten = pools_to_convs(plan_of(model, RANGES))
    assert [node.op_type for node in rewritten.network.topology.nodes] == ["Conv"]
    assert [*rewritten.layers] == ["pool"]
    image = np.random.default_rng(0).uniform(-2, 2, (2, 16, 9, 12)).astype(np.float32)
    runs = [
        open_session(file.SerializeToString(), 1).run(None, {"normalised": image})[0]
        for file in (
            place_qdq_cpu(plan_of(model, RANGES)),
            place_qdq_cpu(rewritten),
            model,
            rewritten.network.model,
        )
    ]
    step = 2 / 127
    away = np.abs(runs[1] - runs[0]) / step
    assert away.max() < 1.01 and np.mean(away > 0.01) < 0.02  # one code, where rounding ties
    assert np.abs(runs[1] - runs[2]).max() < 1.1 * step
    np.testing.assert_allclose(runs[3], runs[2], atol=1e-6)


@pytest.mark.parametrize(
    ("model", "float_tensors"),
    [
        (pool([3, 3], pads=[1, 1, 1, 1]), []),  # divides by fewer at the border
        (pool([2, 2], strides=[2, 2], ceil_mode=1), []),
        (pool([2, 2], strides=[2, 2]), ["logits"]),
    ],
)
def test_other_pools_stay_as_they_are(model: ModelProto, float_tensors: list[str]) -> None:
    for plan in (
        plan_of(model, RANGES, float_tensors=float_tensors),
        plan_of(model, {"normalised": (-1.0, 1.0)}),
    ):
        assert pools_to_convs(plan) is plan


def single(
    node: NodeProto, sides: list[int], constants: dict[str, Any]
) -> ModelProto:  # Any: arrays of any type
    """One node from `normalized` to `logits`, both (2, ...)."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, *shape])
        for name, shape in (("normalised", [16, 6, 5]), ("logits", sides))
    ]
    tensors = [
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    ]
    return model_of(helper.make_graph([node], "small", ends[:1], ends[1:], tensors))


def resize(
    down: float, across: float, **attributes: Any
) -> ModelProto:  # Any: what ONNX knows as an attribute
    node = helper.make_node(
        "Resize", ["normalised", "", "scales"], ["logits"], "resize", **attributes
    )
    return single(
        node,
        [16, int(6 * down), int(5 * across)],
        {"scales": np.array([1, 1, down, across], np.float32)},
    )


FLOOR = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def run(model: ModelProto, seed: int = 0) -> Any:
    image = np.random.default_rng(seed).uniform(-2, 2, (2, 16, 6, 5)).astype(np.float32)
    return open_session(model.SerializeToString(), 1).run(None, {"normalised": image})[0]


@pytest.mark.parametrize(
    "model", [resize(2, 2, **FLOOR), resize(3, 4, **FLOOR), resize(3, 2, mode="nearest")]
)
def test_repeated_pixels_are_copies(model: ModelProto) -> None:
    rewritten = resizes_to_concats(plan_of(model, RANGES))
    assert "Resize" not in {node.op_type for node in rewritten.network.topology.nodes}
    assert not rewritten.layers
    np.testing.assert_array_equal(run(rewritten.network.model), run(model))
    assert np.abs(run(place_qdq_cpu(rewritten)) - run(model)).max() < 1.001 / 127  # half a code


@pytest.mark.parametrize(
    ("model", "float_tensors"),
    [
        (resize(2, 2, mode="linear"), []),
        (resize(1.5, 2, **FLOOR), []),
        (
            resize(3, 3, mode="nearest", coordinate_transformation_mode="asymmetric"),
            [],
        ),  # rounds up at two thirds
        (resize(2, 2, **FLOOR), ["normalised"]),
    ],
)
def test_other_resizes_stay_as_they_are(model: ModelProto, float_tensors: list[str]) -> None:
    plan = plan_of(model, RANGES, float_tensors=float_tensors)
    assert resizes_to_concats(plan) is plan


def classifier(outputs: int, kernel: int) -> tuple[ModelProto, dict[str, QuantizedConv]]:
    random = np.random.default_rng(0)
    layer = QuantizedConv(
        random.integers(-127, 128, (outputs, 16, kernel, kernel)).astype(np.int8),
        random.uniform(1e-4, 2e-4, outputs).astype(np.float32),
        random.normal(0, 0.1, outputs).astype(np.float32),
    )
    node = helper.make_node(
        "Conv",
        ["normalised", "weight", "bias"],
        ["logits"],
        "head",
        pads=[kernel // 2] * 4,
        kernel_shape=[kernel] * 2,
    )
    return single(
        node, [outputs, 6, 5], {"weight": layer.dequantized_weight, "bias": layer.bias}
    ), {"head": layer}


def test_a_thin_layer_gets_sixteen_outputs_of_which_its_own_are_left() -> None:
    model, layers = classifier(11, 3)
    plan = plan_of(model, RANGES, layers)
    padded = pad_output_channels(plan)
    assert len(padded.layers["head"].weight_int8) == 16 and len(np.unique(run(model))) > 500
    np.testing.assert_array_equal(run(place_qdq_cpu(padded)), run(place_qdq_cpu(plan)))
    np.testing.assert_allclose(run(padded.network.model), run(model), atol=1e-6)
    for (other, layers), float_tensors in (
        (classifier(16, 3), []),
        (classifier(11, 1), []),
        (classifier(11, 3), ["logits"]),
    ):
        plan = plan_of(other, RANGES, layers, float_tensors)
        assert pad_output_channels(plan) is plan


def test_a_network_without_any_of_it_stays_as_it_is() -> None:
    model, layers = classifier(16, 3)
    plan = plan_of(model, RANGES, layers)
    assert rewrite_for_cpu(plan) is plan
