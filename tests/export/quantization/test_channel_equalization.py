"""Equalized channels: the same results in float, and more even channels."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.onnx_helpers import constants_of
from edgeseg.export.graph.pre_post_processing import wrap_network
from edgeseg.export.quantization.activation_statistics import channel_peaks
from edgeseg.export.quantization.channel_equalization import equalize_channels
from edgeseg.export.quantization.quantizer import CalibrationResult
from tests.helpers.quantization import IMAGES, INTERFACE, ODD_NODES, make_odd_network


def test_equalizing_changes_nothing_in_float_and_evens_channels(
    network: ModelProto, calibrated: CalibrationResult
) -> None:
    ours, theirs = (
        open_session(wrap_network(model, INTERFACE).SerializeToString(), 1)
        for model in (calibrated.network.model, network)
    )
    for image in IMAGES:
        one, other = (
            session.run(["entropy"], {"image": image[None]})[0] for session in (ours, theirs)
        )
        np.testing.assert_allclose(one, other, atol=2e-3)

    def unevenness(model: ModelProto) -> float:
        peaks = channel_peaks(AnalyzedNetwork(model), INTERFACE, IMAGES, threads=1)
        inner = [peak for name, peak in peaks.items() if name not in ("normalised", "logits")]
        return float(
            np.mean([np.median(np.log(peak.max() / np.maximum(peak, 1e-6))) for peak in inner])
        )

    assert unevenness(calibrated.network.model) < 0.5 * unevenness(network)


def test_equalizing_respects_what_must_stay_and_what_goes_together() -> None:
    random = np.random.default_rng(0)
    weights = {
        f"w{place}": random.normal(0, 0.3, (4, 4, 1, 1)).astype(np.float32) for place in range(3)
    }
    nodes = [
        helper.make_node("Conv", ["normalised", "w0"], ["a"], "one"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w1"], ["c"], "two"),
        helper.make_node("Add", ["c", "b"], ["d"], "add"),
        helper.make_node(
            "Sigmoid", ["d"], ["e"], "sigmoid"
        ),  # what it reads must stay, and so must all of its kin
        helper.make_node("Conv", ["e", "w2"], ["logits"], "three"),
    ]
    shape = [1, 4, 8, 8]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    peaks = {name: np.array([1, 2, 4, 4], np.float32) for name in "abcde"}
    fixed = constants_of(equalize_channels(AnalyzedNetwork(model), peaks).model)
    np.testing.assert_array_equal(fixed["one.weight"], weights["w0"])
    del nodes[4]
    nodes[-1].input[0] = "d"
    graph = helper.make_graph(nodes, "small", graph.input, graph.output, graph.initializer)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    some_peaks = {name: peaks[name] for name in "bcd"}
    equal = equalize_channels(AnalyzedNetwork(model), some_peaks, 1.0).model
    made = constants_of(equal)
    np.testing.assert_allclose(
        made["one.weight"] / weights["w0"],
        np.broadcast_to(np.array([4, 2, 1, 1.0])[:, None, None, None], (4, 4, 1, 1)),
    )
    sample = random.normal(0, 1, shape).astype(np.float32)
    one, other = (
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, {"normalised": sample})[0]
        for each in (equal, model)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", ODD_NODES)
def test_what_is_no_plain_image_is_left_alone(name: str) -> None:
    model = make_odd_network(*ODD_NODES[name])
    equal = equalize_channels(
        AnalyzedNetwork(model), {"b": np.array([1, 2, 4, 4], np.float32)}, 1.0
    ).model
    sample = np.random.default_rng(2).normal(0, 1, (1, 4, 8, 8)).astype(np.float32)
    one, other = (
        onnxruntime.InferenceSession(each.SerializeToString()).run(None, {"normalised": sample})[0]
        for each in (equal, model)
    )
    np.testing.assert_allclose(one, other, atol=1e-5)
