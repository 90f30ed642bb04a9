"""The whole graph: its outputs mean what they say, and every device can read it."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch.nn import functional as F

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.pre_post_processing import wrap_network
from tests.helpers.exporting import HEIGHT, WIDTH
from tests.helpers.graphs import INTERFACE


@pytest.mark.parametrize("channels_last", [False, True])
def test_the_outputs_mean_what_they_say(
    lowered: ModelProto, image: NDArray[np.uint8], logits: torch.Tensor, channels_last: bool
) -> None:
    session = open_session(
        wrap_network(lowered, INTERFACE, channels_last=channels_last).SerializeToString(), 1
    )
    mask, entropy, score, area = session.run(["mask", "entropy", "score", "area"], {"image": image})
    expected = F.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear").argmax(1).numpy()
    assert mask.dtype == np.uint8 and mask.shape == (1, HEIGHT, WIDTH)
    assert len(np.unique(expected)) > 1 and np.mean(mask == expected) > 0.999
    probability = (logits / 1.7).softmax(1)
    wanted = (-(probability * probability.log()).sum(1) / math.log(3)).numpy()
    assert entropy.shape == (1, HEIGHT // 4, WIDTH // 4) and entropy.dtype == np.float32
    np.testing.assert_allclose(entropy, wanted, atol=2e-5)
    np.testing.assert_allclose(score, [np.mean(entropy > np.float32(0.8))], atol=1e-6)
    shares = [np.mean(mask[:, 2::4, 2::4] == place) for place in range(3)]
    np.testing.assert_allclose(area, [shares], atol=1e-6)


@pytest.mark.parametrize("channels_last", [False, True])
def test_entropy_stays_in_bounds_for_extreme_logits(
    lowered: ModelProto, channels_last: bool
) -> None:
    for temperature in (1e-3, 1e6):
        interface = INTERFACE.with_thresholds(temperature, 0.5)
        data = wrap_network(lowered, interface, channels_last=channels_last).SerializeToString()
        (entropy,) = open_session(data, 1).run(
            ["entropy"], {"image": np.full((1, HEIGHT, WIDTH, 3), 255, np.uint8)}
        )
        assert np.isfinite(entropy).all() and entropy.min() >= 0 and entropy.max() <= 1
    assert entropy.min() > 0.99  # at so high a temperature every class is as likely


def test_devices_can_read_the_graph(lowered: ModelProto) -> None:
    graph = wrap_network(lowered, INTERFACE)
    onnx.checker.check_model(graph, full_check=True)
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [
        ("", 17)
    ] and graph.ir_version == 8
    allowed = {
        "Add",
        "ArgMax",
        "Cast",
        "Clip",
        "Concat",
        "Conv",
        "Div",
        "Equal",
        "Exp",
        "GlobalAveragePool",
        "Greater",
        "Log",
        "Mul",
        "ReduceMax",
        "ReduceMean",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Resize",
        "Slice",
        "Sub",
        "Transpose",
        "Unsqueeze",
    }
    assert {node.op_type for node in graph.graph.node} <= allowed
    first = [node.op_type for node in graph.graph.node if "image" in node.input]
    assert first == [
        "Cast"
    ]  # TensorRT: a uint8 input feeds one Cast, a uint8 output comes from a Cast of floats
    constants = {tensor.name for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "Resize":
            assert all(name in constants for name in node.input[1:] if name)
    dims = [
        dim
        for value in (*graph.graph.input, *graph.graph.output)
        for dim in value.type.tensor_type.shape.dim
    ]
    assert all(dim.HasField("dim_value") for dim in dims)
    assert not any(tensor.external_data for tensor in graph.graph.initializer)


def test_nothing_of_the_exporting_machine_is_in_the_file(lowered: ModelProto) -> None:
    data = wrap_network(lowered, INTERFACE).SerializeToString()
    assert b"site-packages" not in data and b"/edgeseg" not in data and b"torch" not in data
