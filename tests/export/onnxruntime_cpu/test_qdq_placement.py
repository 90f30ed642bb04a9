"""Q/DQ nodes of the CPU flavour: on every tensor, so that ONNX Runtime computes in integers."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgeseg.export.evaluation.ort_session import open_session
from edgeseg.export.graph.onnx_helpers import constants_of
from edgeseg.export.graph.qdq_nodes import QuantizedConv
from edgeseg.export.onnxruntime_cpu.kernel_report import inspect_kernels, integer_convolutions
from edgeseg.export.onnxruntime_cpu.qdq_placement import place_qdq_cpu
from tests.helpers.quantization import plan_of


def test_every_convolution_runs_in_integers(network: ModelProto, cpu_graph: ModelProto) -> None:
    convolutions = sum(node.op_type == "Conv" for node in network.graph.node)
    kernels = inspect_kernels(cpu_graph.SerializeToString())
    assert kernels.quantized == integer_convolutions(cpu_graph) == convolutions > 50
    assert kernels.conversions <= 8  # in, out, and around the two resizes of the decoder


def test_activations_are_unsigned_with_zero_points_at_the_end_or_the_middle(
    cpu_graph: ModelProto,
) -> None:
    constants = constants_of(cpu_graph)
    nodes = [node for node in cpu_graph.graph.node if node.op_type == "QuantizeLinear"]
    points = [constants[node.input[2]] for node in nodes]
    assert {point.dtype for point in points} == {np.dtype(np.uint8)}
    assert {point.item() for point in points} == {0, 128}


def test_a_max_pool_has_one_scale_and_a_resize_never_has_the_same_on_both_sides() -> None:
    shapes = {"normalised": (8, 8), "pooled": (4, 4), "logits": (8, 8)}
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, *shape])
        for name, shape in shapes.items()
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    nodes = [
        helper.make_node(
            "MaxPool", ["normalised"], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Resize", ["pooled", "", "scales"], ["blown"], "resize", mode="linear"),
        helper.make_node("Sigmoid", ["blown"], ["logits"], "sigmoid"),
    ]
    graph = helper.make_graph(nodes, "small", values[:1], values[2:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ranges = {
        "normalised": (-3.0, 3.0),
        "pooled": (-2.0, 2.0),
        "blown": (-3.0, 3.0),
        "logits": (-1.0, 1.0),
    }
    steps = {
        name: value
        for name, value in constants_of(place_qdq_cpu(plan_of(model, ranges))).items()
        if "scale" in name
    }
    assert (
        steps["normalised.scale"]
        == steps["pooled.scale"]
        < steps["blown.scale"]
        < 1.0001 * steps["pooled.scale"]
    )


@pytest.mark.parametrize(
    ("most", "low", "joined"), [(6.0, -9.0, False), (6.0, 0.0, False), (12.0, 0.0, True)]
)
def test_a_concat_still_clips_what_an_activation_did(most: float, low: float, joined: bool) -> None:
    values = [
        helper.make_tensor_value_info("normalised", TensorProto.FLOAT, [1, 2, 4, 4]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 4, 4, 4]),
    ]
    weight = np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1)
    scales = np.full(2, 1 / 127, np.float32)
    layer = QuantizedConv(np.rint(weight * 127).astype(np.int8), scales, np.zeros(2, np.float32))
    constants = {"one": weight, "two": weight, "least": np.float32(0), "most": np.float32(most)}
    nodes = [
        helper.make_node("Conv", ["normalised", "one"], ["a"], "first"),
        helper.make_node("Clip", ["a", "least", "most"], ["cut"], "clip"),
        helper.make_node("Conv", ["normalised", "two"], ["b"], "second"),
        helper.make_node("Concat", ["cut", "b"], ["logits"], "join", axis=1),
    ]
    tensors = [
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "small", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    signed = (-9.0 if low < 0 else 0.0, 9.0)
    ranges = {
        "normalised": (-9.0, 9.0),
        "cut": (0.0, min(most, 9.0)),
        "b": signed,
        "logits": signed,
    }
    placed = place_qdq_cpu(plan_of(model, ranges, {"first": layer, "second": layer}))
    steps = constants_of(placed)
    assert bool(steps["cut.scale"] == steps["logits.scale"]) is joined
    image = np.random.default_rng(0).uniform(-9, 9, (1, 2, 4, 4)).astype(np.float32)
    (found,) = open_session(placed.SerializeToString(), 1).run(None, {"normalised": image})
    wanted = np.concatenate([image.clip(0, most), image.clip(signed[0], 9)], axis=1)
    assert np.abs(found - wanted).max() < 0.1


def test_weights_are_signed_with_a_scale_per_channel_and_biases_have_32_bits(
    cpu_graph: ModelProto,
) -> None:
    constants = constants_of(cpu_graph)
    producers = {node.output[0]: node for node in cpu_graph.graph.node}
    for node in (node for node in cpu_graph.graph.node if node.op_type == "Conv"):
        step = constants[producers[node.input[0]].input[1]]
        weight, bias = (producers[name] for name in node.input[1:])
        assert weight.op_type == bias.op_type == "DequantizeLinear"
        integers, scale = constants[weight.input[0]], constants[weight.input[1]]
        assert integers.dtype == np.int8 and len(scale) == len(integers)
        assert constants[bias.input[0]].dtype == np.int32
        np.testing.assert_array_equal(constants[bias.input[1]], scale * step)


def test_all_that_a_concat_joins_has_one_scale_in_the_cpu_flavour(cpu_graph: ModelProto) -> None:
    constants, producers = (
        constants_of(cpu_graph),
        {node.output[0]: node for node in cpu_graph.graph.node},
    )
    readers = {name: node for node in cpu_graph.graph.node for name in node.input}
    joins = [node for node in cpu_graph.graph.node if node.op_type == "Concat"]
    joined = [node for node in joins if not node.name.startswith(("pixels.", "after."))]
    assert len(joined) == 2
    for node in joined:
        scales = {constants[producers[name].input[1]].item() for name in node.input}
        scales.add(constants[readers[node.output[0]].input[1]].item())
        assert len(scales) == 1
