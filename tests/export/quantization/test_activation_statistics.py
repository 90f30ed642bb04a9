"""Samples of tensors, of the inputs of convolutions, and statistics of frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.quantization.activation_statistics import collect_statistics, frame_statistics
from edgeseg.export.quantization.probe_graph import POSITIONS_PER_FRAME, SAMPLES_PER_FRAME
from tests.helpers.quantization import IMAGES, INTERFACE


def large_network(side: int) -> ModelProto:
    weight = numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["normalised", "w"], ["logits"], "conv")],
        "large",
        [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, side, side])],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_calibration_takes_a_bounded_sample_from_tensors_of_any_size() -> None:
    # the convolution's output has a million values, of which some 16 thousand leave the graph
    side = 1024
    interface = Interface(height=side, width=side, classes=2, mean=(0, 0, 0), std=(1, 1, 1))
    image = np.zeros((side, side, 3), np.uint8)
    image[:, 17] = 255  # a single bright column is seen, whatever the step of the sample
    found = collect_statistics(AnalyzedNetwork(large_network(side)), interface, [image], threads=1)
    assert found.histograms["logits"].max_magnitude == 3.0
    assert 0.9 * SAMPLES_PER_FRAME < found.histograms["logits"].total < 1.1 * SAMPLES_PER_FRAME
    assert found.grams["conv"].positions <= POSITIONS_PER_FRAME


def test_sampled_inputs_are_what_the_weights_are_multiplied_with() -> None:
    random = np.random.default_rng(0)
    weight = random.normal(0, 1, (6, 1, 3, 3)).astype(np.float32)
    attributes: dict[str, Any] = {
        "group": 3,
        "strides": [2, 1],
        "pads": [2, 1, 2, 1],
        "dilations": [2, 1],
    }
    graph = helper.make_graph(
        [helper.make_node("Conv", ["normalised", "w"], ["logits"], "conv", **attributes)],
        "padded",
        [helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [1, 3, 10, 9])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 6, 5, 9])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    interface = Interface(height=10, width=9, classes=6, mean=(0, 0, 0), std=(1 / 255,) * 3)
    images = [random.integers(0, 9, (10, 9, 3)).astype(np.uint8) for _ in range(3)]
    gram = collect_statistics(AnalyzedNetwork(model), interface, images, threads=1).grams["conv"]
    assert (
        gram.positions == 3 * 45
    )  # fewer positions than are looked at in a large tensor, so all of them
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = [image.transpose(2, 0, 1)[None].astype(np.float32) for image in images]
    given = np.concatenate(
        [session.run(None, {"normalised": feed})[0][0].reshape(6, -1) for feed in feeds], 1
    )
    rows = np.concatenate([weight.reshape(3, 2, 9), np.zeros((3, 2, 1))], 2)
    energy = np.einsum("gri,gij,grj->gr", rows, gram.sums[0], rows).reshape(-1)
    np.testing.assert_allclose(energy, (given.astype(np.float64) ** 2).sum(1), rtol=1e-5)


def test_frame_statistics_are_what_the_float_graph_gives(network: ModelProto) -> None:
    seen = frame_statistics(network, INTERFACE, IMAGES, threads=1)
    assert seen.features.shape == (6, 160) and seen.areas.shape == (
        6,
        3,
    )  # the encoder's last map has 160 channels
    session = open_session(wrap_network(network, INTERFACE).SerializeToString(), 1)
    for place, image in enumerate(IMAGES):
        area, score = session.run(["area", "score"], {"image": image[None]})
        np.testing.assert_array_equal(seen.areas[place], area[0])
        assert seen.scores[place] == score[0]
