"""A pool that becomes a layer gives the codes of the pool."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from edgeseg.export.placecpu import place_cpu
from edgeseg.export.pools import pools_as_layers
from edgeseg.export.session import open_session

RANGES = {"normalised": (-2.0, 2.0), "logits": (-2.0, 2.0)}


def pool(sides: list[int], **attributes: Any) -> ModelProto:  # Any: what ONNX knows as an attribute
    node = helper.make_node("AveragePool", ["normalised"], ["logits"], "pool", kernel_shape=sides, **attributes)
    given = helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [2, 16, 9, 12])
    shell = helper.make_graph(
        [node], "small", [given], [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)]
    )
    (found,) = ReferenceEvaluator(model_of(shell)).run(None, {"normalised": np.zeros((2, 16, 9, 12), np.float32)})
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
    rewritten, ranges, layers = pools_as_layers(model, RANGES, {})
    assert [node.op_type for node in rewritten.graph.node] == ["Conv"] and [*layers] == ["pool"]
    image = np.random.default_rng(0).uniform(-2, 2, (2, 16, 9, 12)).astype(np.float32)
    runs = [
        open_session(file.SerializeToString(), 1).run(None, {"normalised": image})[0]
        for file in (place_cpu(model, RANGES, {}), place_cpu(rewritten, ranges, layers), model, rewritten)
    ]
    step = 2 / 127
    away = np.abs(runs[1] - runs[0]) / step
    assert away.max() < 1.01 and np.mean(away > 0.01) < 0.02  # one code, where rounding ties
    assert np.abs(runs[1] - runs[2]).max() < 1.1 * step
    np.testing.assert_allclose(runs[3], runs[2], atol=1e-6)


@pytest.mark.parametrize(
    ("model", "islands"),
    [
        (pool([3, 3], pads=[1, 1, 1, 1]), []),  # divides by fewer at the border
        (pool([2, 2], strides=[2, 2], ceil_mode=1), []),
        (pool([2, 2], strides=[2, 2]), ["logits"]),
    ],
)
def test_other_pools_stay_as_they_are(model: ModelProto, islands: list[str]) -> None:
    assert pools_as_layers(model, RANGES, {}, islands)[0] is model
    assert pools_as_layers(model, {"normalised": (-1.0, 1.0)}, {})[0] is model
