"""Q/DQ nodes of the TensorRT flavour: in front of what wants INT8 inputs, and nowhere else."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from edgeseg.bundle.flavours import Int8Flavour
from edgeseg.export.graph.onnx_helpers import constants_of
from edgeseg.export.onnxruntime_cpu.kernel_report import integer_convolutions


def test_the_tensorrt_flavour_is_signed_and_its_weights_are_floats_on_whole_steps(
    int8_graphs: dict[Int8Flavour, ModelProto],
) -> None:
    model = int8_graphs["int8-trt"]
    constants, producers = constants_of(model), {node.output[0]: node for node in model.graph.node}
    for node in (
        node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")
    ):
        zero = constants[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any() and (constants[node.input[1]] > 0).all()
    integer = [
        node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in producers
    ]
    assert len(integer) == integer_convolutions(model) > 40
    for node in integer:
        back = producers[node.input[1]]
        there = producers[back.input[0]]
        assert (there.op_type, back.op_type) == ("QuantizeLinear", "DequantizeLinear")
        assert list(there.input[1:]) == list(back.input[1:])
        weight, scale = constants[there.input[0]], constants[there.input[1]]
        steps = weight / scale[:, None, None, None]
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
        assert constants[node.input[2]].dtype == np.float32
        assert producers[node.input[0]].op_type == "DequantizeLinear"


def test_in_front_of_an_addition_only_the_branch_without_convolution_is_quantized(
    int8_graphs: dict[Int8Flavour, ModelProto],
) -> None:
    producers = {node.output[0]: node for node in int8_graphs["int8-trt"].graph.node}
    additions = [node for node in int8_graphs["int8-trt"].graph.node if node.op_type == "Add"]
    assert len(additions) == 10
    for node in additions:
        assert sorted(producers[name].op_type for name in node.input) == [
            "Conv",
            "DequantizeLinear",
        ]


def test_nothing_stands_between_a_convolution_and_its_activation(
    int8_graphs: dict[Int8Flavour, ModelProto],
) -> None:
    producers = {node.output[0]: node for node in int8_graphs["int8-trt"].graph.node}
    activations = [
        node for node in int8_graphs["int8-trt"].graph.node if node.op_type in ("Relu", "Clip")
    ]
    inside = [node for node in activations if not node.name.startswith("after.")]
    assert len(inside) > 30 and all(producers[node.input[0]].op_type == "Conv" for node in inside)
