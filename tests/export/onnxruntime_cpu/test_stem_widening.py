"""The widened first convolution gives the same integers as the plain one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from edgeseg.export.onnxruntime_cpu.stem_widening import widen_stem, widened_weight
from edgeseg.models import MEAN, STD
from tests.helpers.quantization import plan_of

RANGES = {"normalised": (-2.0, 2.0), "raw": (-9.0, 9.0), "cut": (0.0, 6.0), "logits": (-40.0, 40.0)}


def network(
    kernel: int, pad: int, height: int, width: int, *, stride: int = 2, bias: bool = True
) -> ModelProto:
    """A stem of 8 channels, a ReLU6 and a classifier, in float."""
    random = np.random.default_rng(kernel)
    constants = {
        "stem.weight": random.normal(0, 0.3, (8, 3, kernel, kernel)),
        "stem.bias": random.normal(0, 1, 8),
        "low": 0,
        "high": 6,
        "head.weight": random.normal(0, 1, (3, 8, 1, 1)),
    }
    nodes = [
        helper.make_node(
            "Conv",
            ["normalised", "stem.weight", *["stem.bias"] * bias],
            ["raw"],
            "stem",
            pads=[pad] * 4,
            strides=[stride] * 2,
            kernel_shape=[kernel] * 2,
        ),
        helper.make_node("Clip", ["raw", "low", "high"], ["cut"], "clip"),
        helper.make_node("Conv", ["cut", "head.weight"], ["logits"], "head"),
    ]
    sides = [(side + 2 * pad - kernel) // stride + 1 for side in (height, width)]
    ends = {"normalised": [2, 3, height, width], "logits": [2, 3, *sides]}
    given, found = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)
        for name, sides in ends.items()
    )
    tensors = [
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "small", [given], [found], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def layers(model: ModelProto) -> dict[str, QuantizedConv]:
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {}
    for name in ("stem", "head"):
        weight = values[f"{name}.weight"]
        scales = np.asarray(np.abs(weight).max((1, 2, 3)) / 127, np.float32)
        integers = np.rint(weight / scales[:, None, None, None]).astype(np.int8)
        found[name] = QuantizedConv(
            integers, scales, values["stem.bias"] if name == "stem" else np.zeros(3, np.float32)
        )
    return found


def outputs(
    model: ModelProto, height: int, width: int
) -> list[Any]:  # Any: arrays of several types
    interface = Interface(height=height, width=width, classes=3, mean=MEAN, std=STD, batch=2)
    image = np.random.default_rng(1).integers(0, 256, (2, height, width, 3), np.uint8)
    names = ["mask", "entropy", "score", "area"]
    data = wrap_network(model, interface, channels_last=True).SerializeToString()
    found: list[Any] = open_session(data, 1).run(names, {"image": image})
    return found


@pytest.mark.usefixtures("exact_sums")
@pytest.mark.parametrize("float_tensors", [[], ["logits"]])
@pytest.mark.parametrize(
    ("kernel", "pad", "height", "width"),
    [(3, 1, 16, 24), (7, 3, 20, 12), (5, 2, 10, 4), (2, 0, 8, 8), (1, 0, 6, 20)],
)
def test_the_same_integers_come_out(
    kernel: int, pad: int, height: int, width: int, float_tensors: list[str]
) -> None:
    model = network(kernel, pad, height, width)
    plan = plan_of(model, RANGES, layers(model), float_tensors)
    widened = widen_stem(plan)
    assert widened.layers["stem"].weight_int8.shape[:2] == (16, 12)
    assert widened.network.shapes["normalised"][3] * 4 == width
    plain = outputs(place_qdq_cpu(plan), height, width)
    for before, after in zip(plain, outputs(place_qdq_cpu(widened), height, width)):
        np.testing.assert_array_equal(before, after)
    assert float(np.std(plain[1])) > 0.01
    # the float weights, which recipes with float tensors use, are widened too
    assert all(
        np.allclose(after, before, atol=1e-4)
        for after, before in zip(
            outputs(widened.network.model, height, width), outputs(model, height, width)
        )
    )


@pytest.mark.parametrize(
    ("model", "float_tensors"),
    [
        (network(3, 1, 16, 18), []),  # no groups of four
        (network(3, 1, 16, 16, stride=1), []),
        (network(4, 2, 16, 16), []),  # one output more than half the columns
        (network(3, 1, 16, 16), ["cut"]),
        (network(3, 1, 16, 16), ["normalised"]),
    ],
)
def test_other_stems_stay_as_they_are(model: ModelProto, float_tensors: list[str]) -> None:
    for plan in (
        plan_of(model, RANGES, layers(model), float_tensors),
        plan_of(model, RANGES, {"head": layers(model)["head"]}),
    ):
        assert widen_stem(plan) is plan


def test_a_stem_without_bias_is_widened_too() -> None:
    model = network(3, 1, 16, 16, bias=False)
    widened = widen_stem(plan_of(model, RANGES, layers(model)))
    assert all(
        np.allclose(after, before, atol=1e-4)
        for after, before in zip(outputs(widened.network.model, 16, 16), outputs(model, 16, 16))
    )


def test_the_taps_of_a_3x3_stem_stand_where_the_docstring_has_them() -> None:
    weight = np.array([1, 2, 3], np.float32).reshape(1, 1, 1, 3)
    wide, groups_before, groups_behind = widened_weight(weight, left=1)
    assert wide.shape == (2, 4, 1, 2) and (groups_before, groups_behind) == (1, 0)
    even, odd = wide[:, :, 0].transpose(0, 2, 1).reshape(2, -1)  # by group, then by pixel
    assert even.tolist() == [0, 0, 0, 1, 2, 3, 0, 0]
    assert odd.tolist() == [0, 0, 0, 0, 0, 1, 2, 3]
