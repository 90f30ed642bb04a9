"""Q/DQ nodes of the TensorRT flavour where one Concat reads what another gives, as in UNet++."""

from __future__ import annotations

import json

import numpy as np
import onnx.parser
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from edgeseg.bundle.graph_metadata import FLOAT_TENSORS_KEY
from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.graph_view import GraphView
from edgeseg.export.graph.onnx_helpers import constants_of
from edgeseg.export.graph.qdq_nodes import QuantizationPlan, QuantizedConv
from edgeseg.export.onnxruntime_cpu.kernel_report import float_convolutions
from edgeseg.export.tensorrt.qdq_checks import (
    check_convolutions,
    check_fusions,
    check_qdq_pairs,
    check_qdq_parameters,
)
from edgeseg.export.tensorrt.qdq_placement import place_qdq_tensorrt
from tests.helpers.quantization import plan_of

CHECKS = (check_qdq_parameters, check_qdq_pairs, check_convolutions, check_fusions)
SIDES = [1, 16, 8, 8]
CONV, HALVED = "Conv <pads = [1, 1, 1, 1]>", "Conv <pads = [1, 1, 1, 1], strides = [2, 2]>"
SKIPS = f"""
    left = {CONV} (normalised, left_weight)
    right = {CONV} (left, right_weight)
    deep = {HALVED} (right, deep_weight)
    large = Resize <mode = "linear"> (deep, , twice)
    inner = Concat <axis = 1> (left, right)
    outer = Concat <axis = 1> (large, inner)
"""
# what reads the Concats
ENDS = {
    "a convolution": f"logits = {CONV} (outer, finish_weight)",
    "several": f"""
        small = {HALVED} (inner, small_weight)
        larger = Resize <mode = "linear"> (inner, , twice)
        shrunk = {HALVED} (larger, small_weight)
        again = Resize <mode = "linear"> (small, , twice)
        third = Concat <axis = 1> (again, outer)
        fourth = Concat <axis = 1> (shrunk, third)
        logits = {CONV} (fourth, last_weight)
    """,
    "a Relu": f"""
        cut = Relu (outer)
        logits = {CONV} (cut, finish_weight)
    """,
    "nothing": "logits = Concat <axis = 1> (right, outer)",
}
CHANNELS = {"left": 16, "right": 16, "deep": 16, "small": 32, "finish": 48, "last": 80}  # of inputs
JOINED = ("left", "right", "large", "inner", "outer")


def plan_for(end: str, *float_tensors: str) -> QuantizationPlan:
    """Return a plan for a network whose weights are whole steps, with the ranges of one frame."""
    random, layers = np.random.default_rng(0), {}
    for name, channels in CHANNELS.items():
        codes = random.integers(-127, 128, (16, channels, 3, 3)).astype(np.int8)
        scales = np.full(16, 1 / (127 * np.sqrt(3 * channels)), np.float32)  # keeps the variance
        layers[f"{name}_weight"] = QuantizedConv(codes, scales, np.zeros(16, np.float32))
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        f"network (float{SIDES} normalised) => (float[1, C, 8, 8] logits) {{{SKIPS}{ENDS[end]}}}"
    )
    constants = {name: layer.dequantized_weight for name, layer in layers.items()}
    constants["twice"] = np.array([1, 1, 2, 2], np.float32)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    for node in model.graph.node:
        node.name = node.output[0]
    network = AnalyzedNetwork(model)
    names = network.quantizable_tensors
    ranges = {
        name: (-peak, peak)
        for name, peak in zip(names, (float(np.abs(value).max()) for value in run(model, *names)))
    }
    convolutions = {name: layers[node.input[1]] for name, node in network.quantizable_convs.items()}
    return plan_of(model, ranges, convolutions, float_tensors)


def run(model: ModelProto, *names: str) -> list[NDArray[np.float32]]:
    """Return tensors of a network for one random frame."""
    copy = ModelProto()
    copy.CopyFrom(model)
    made = {name for node in copy.graph.node for name in node.output} - {"logits"}
    copy.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in names if name in made
    )
    frame = np.random.default_rng(1).normal(0, 1, SIDES).astype(np.float32)
    wanted = [name for name in names if name != "normalised"]
    found = open_session(copy.SerializeToString(), plain=True).run(wanted, {"normalised": frame})
    return [dict(zip(wanted, found)).get(name, frame) for name in names]


def place(plan: QuantizationPlan) -> ModelProto:
    placed = place_qdq_tensorrt(plan)
    helper.set_model_props(placed, {FLOAT_TENSORS_KEY: json.dumps(plan.float_tensors)})
    return placed


def findings(placed: ModelProto) -> list[str]:
    view = GraphView(placed.SerializeToString())
    return [finding for look in CHECKS for finding in look(view)]


@pytest.mark.parametrize("end", ["a convolution", "several"])
def test_all_that_nested_concats_join_or_give_has_codes_of_one_scale(end: str) -> None:
    placed = place(plan_for(end))
    assert findings(placed) == [] and float_convolutions(placed) == []
    scales = {name: constants_of(placed)[f"{name}.scale"].item() for name in (*JOINED, "deep")}
    assert len({scales[name] for name in JOINED}) == 1 and len(set(scales.values())) == 2
    for node in placed.graph.node:
        if node.op_type == "Concat":
            assert all(name.endswith(".coded") for name in node.input)


@pytest.mark.parametrize(
    ("end", "float_tensors"),
    [("a Relu", ()), ("nothing", ()), ("a convolution", ("large",)), ("several", ("large",))],
)
def test_a_concat_stays_bare_whose_result_nobody_could_read_as_codes(
    end: str, float_tensors: tuple[str, ...]
) -> None:
    placed = place(plan_for(end, *float_tensors))
    assert findings(placed) == []
    (outer,) = (node for node in placed.graph.node if node.name == "outer")
    assert list(outer.input) == ["large", "inner"]
    assert "large.scale" not in constants_of(placed)


@pytest.mark.parametrize("end", ENDS)
def test_nested_concats_compute_what_the_float_network_does(end: str) -> None:
    plan = plan_for(end)
    (wanted,), (found,) = run(plan.network.model, "logits"), run(place(plan), "logits")
    assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()
